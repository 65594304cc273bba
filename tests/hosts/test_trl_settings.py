"""What is refused, with words that say what to do; which reward function decides; which TRL fits."""

import asyncio
import math
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
from trl import GRPOConfig, GRPOTrainer

from mel.hosts.trl import (
    ContractError,
    MELTrainer,
    VerifierReward,
    contract,
    example_of,
    problem_of,
    surrogate_fields,
    verdicts,
)
from mel.hosts.trl.config import DEFAULTS, experience_settings, row_learning
from mel.hosts.trl.problems import Scored, lines_as_steps
from mel.hosts.trl.surrogates import SURROGATES
from mel.hosts.trl.verdicts import VerdictsOfReward, reward_index, rollout_verifier
from mel.methods import MetaExperienceSettings
from mel.objective.weight import Constant, GradNorm
from mel.prompts.chat import ChatTokenizer
from mel.types import Problem, Verdict


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"per_device_train_batch_size": 6, "gradient_accumulation_steps": 2, "steps_per_generation": 1,
          "generation_batch_size": None, "num_generations": 4, "max_steps": 1}, "must be divisible by num_generations"),
        ({"mel_backward": "both"}, "mel_backward: expected one of joint, separate, got 'both'"),
        ({"mel_weight": "huge"}, "mel_weight: expected one of constant, grad_norm"),
        ({"mel_reduction": "sum"}, "mel_reduction: expected one of row, token"),
        ({"mel_rows_per_backward": 0}, "mel_rows_per_backward: expected at least 1"),
        ({"mel_tracked_experiences": -1}, "mel_tracked_experiences: expected the number .* 0 for no table, got -1"),
        ({"mel_tracked_experiences": "few"}, "mel_tracked_experiences: expected the number .*, got 'few'"),
        ({"mel_choose": "best"}, "meta_experience.choose: expected one of"),
        ({"mel_share": -1.0}, "share: expected a finite number"),
        ({"mel_lambda": 0.5}, "mel_lambda: grad_norm sets lambda itself, by mel_share, got 0.5: set mel_weight='cons"),
        ({"mel_final": 0.1}, "mel_final: a constant schedule keeps all of the weight, got 0.1"),
    ],
)  # fmt: skip
def test_settings_that_cannot_work_are_refused_at_once(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        tiny.config(tmp_path, **changes)


def test_a_group_split_over_ranks_is_refused_with_the_numbers_before_a_model_is_loaded(tmp_path, monkeypatch):
    # Two ranks of 6 rollouts: a whole number of groups of 4 together, but not on each.
    monkeypatch.setattr(GRPOConfig, "world_size", property(lambda self: 2))
    args = tiny.config(tmp_path, per_device_train_batch_size=6, num_generations=4)
    with pytest.raises(
        ValueError, match=r"\(6\) x steps_per_generation \(1\) = 6 must be a multiple of num_generations \(4\)"
    ):
        tiny.trainer(MELTrainer, args, model="no/such-model")


def test_gradients_measured_in_steps_that_span_batches_are_refused_before_a_model_is_loaded(tmp_path):
    args = tiny.config(tmp_path, gradient_accumulation_steps=4, steps_per_generation=2)
    with pytest.raises(ValueError, match=r"steps_per_generation \(2\) must be a multiple of .* \(4\)"):
        tiny.trainer(MELTrainer, args, model="no/such-model")


def test_a_constant_weight_allows_any_layout(tmp_path):
    args = tiny.config(tmp_path, gradient_accumulation_steps=4, steps_per_generation=2, mel_weight="constant")
    assert args.mel_weight == "constant"


def test_the_flat_fields_default_to_the_methods_own_defaults(tmp_path):
    assert experience_settings(tiny.config(tmp_path)) == MetaExperienceSettings()
    plain = GRPOConfig(str(tmp_path), use_cpu=True, bf16=False)
    assert experience_settings(plain) == MetaExperienceSettings()


def test_the_page_about_the_trainer_names_fields_that_exist_and_their_defaults():
    page = (Path(__file__).parents[2] / "docs" / "trainer.md").read_text()
    named = set(re.findall(r"\bmel_[a-z_]+", page)) - {"mel_"}
    assert named <= set(DEFAULTS), "a field that there is not"
    rows = re.findall(r"^\| ((?:`mel_\w+`(?:, )?)+) \| ([^|]+) \|", page, flags=re.M)
    said = {
        name: default.strip("` ")
        for names, defaults in rows
        for name, default in zip(re.findall(r"mel_\w+", names), defaults.split(","), strict=True)
    }
    assert len(said) >= 10
    assert said == {name: str(DEFAULTS[name]).lower() for name in said}


def test_the_flat_fields_name_a_carrier_with_settings(tmp_path):
    args = tiny.config(tmp_path, mel_carrier="maspo", mel_carrier_settings='{"sigma": 0.5}')
    assert tiny.trainer(MELTrainer, args).own_surrogate.keywords["sigma"] == 0.5
    for changes, message in (
        ({"mel_carrier": "mapo"}, "carrier: expected one of .*, got 'mapo'; did you mean 'maspo'"),
        (
            {"mel_carrier": "maspo", "mel_carrier_settings": {"sgma": 1.0}},
            "unknown key 'maspo.sgma'; did you mean 'sigma'",
        ),
        ({"mel_credit": "outcom"}, "credit rule: expected one of .*, got 'outcom'; did you mean 'outcome'"),
    ):
        with pytest.raises(ValueError, match=message):
            tiny.config(tmp_path, **changes)


def test_the_weight_rule_is_built_from_the_flat_fields(tmp_path):
    constant = row_learning(tiny.config(tmp_path, mel_weight="constant", mel_lambda=0.25)).weight
    assert isinstance(constant, Constant)
    assert (constant.value, constant.every) == (0.25, 0)
    matched = row_learning(tiny.config(tmp_path, mel_share=2.0, mel_measure_every=5, mel_decay=0.5)).weight
    assert isinstance(matched, GradNorm)
    assert (matched.share, matched.every, matched.decay) == (2.0, 5, 0.5)


def test_the_surrogate_of_another_carrier_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"'gspo' needs .*importance_sampling_level"):
        tiny.mel_trainer(tiny.config(tmp_path), tiny.RowsFrom(lambda call: []), carrier="gspo")


def test_every_carrier_has_its_surrogate_here():
    assert {c.surrogate for c in tiny.CARRIERS.values()} <= set(SURROGATES)
    with pytest.raises(ValueError, match="knows the surrogates"):
        surrogate_fields("ppo")


def test_the_installed_trl_fits():
    assert contract.violations(GRPOTrainer) == []


class Renamed(GRPOTrainer):
    loss_is_scaled_for_ga = False
    _compute_loss = None

    def _generate_single_turn(self, prompt_ids, images):
        raise AssertionError

    def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list, extra):
        raise AssertionError


def test_a_trl_that_changed_is_refused_by_the_members_name():
    with pytest.raises(ContractError) as caught:
        contract.require(Renamed)
    text = str(caught.value)
    assert "_generate_single_turn: expected (self, prompt_ids, images, multimodal_fields, num_generations" in text
    assert "found (self, prompt_ids, images)" in text
    assert "_calculate_rewards: expected" in text
    assert "_compute_loss: expected (self, model, inputs), found no such member" in text
    assert "loss_is_scaled_for_ga: expected True" in text
    assert ">=1.15,<1.17" in text


def test_a_dataset_row_and_its_problem_turn_into_each_other():
    problem = Problem(id="p1", text="how many", answer="4", metadata={"level": 2})
    assert problem_of(example_of(problem, [{"role": "user", "content": "Solve: how many"}])) == problem


def test_a_row_without_our_columns_still_has_a_problem():
    found = problem_of(
        {"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}], "solution": 3}
    )
    assert (found.text, found.answer) == ("q", "3")
    assert found.id == problem_of({"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]}).id
    assert found.id != problem_of({"prompt": "q"}).id


def test_lines_are_the_steps_of_a_task_that_has_none():
    text = "first\n\n second\nthird"
    assert [(s.number, text[s.start : s.end]) for s in lines_as_steps(text)] == [
        (1, "first\n"),
        (2, " second\n"),
        (3, "third"),
    ]
    assert lines_as_steps(" \n") == ()


def test_the_reward_function_that_decides_is_found_by_name_or_index():
    assert reward_index(["a", "b"], None) == 0
    assert reward_index(["a", "b"], "b") == 1
    assert reward_index(["a", "b"], "1") == 1
    with pytest.raises(ValueError, match="mel_correctness: expected one of a, b or an index below 2, got 'c'"):
        reward_index(["a", "b"], "c")


async def says_answer(completions, answer, log_metric, **kwargs):
    await asyncio.sleep(0)
    log_metric("asked", 1.0)
    return [
        None if "w39" in c[0]["content"] else float(a in c[0]["content"].split())
        for c, a in zip(completions, answer, strict=True)
    ]


def test_replays_are_judged_by_the_reward_function_with_the_columns_of_their_problem(tmp_path):
    auxiliary = tiny.RowsFrom(lambda call: [], prompts=lambda call: 2)
    trainer = tiny.mel_trainer(
        tiny.config(tmp_path, max_steps=1, mel_correctness="says_answer"),
        auxiliary,
        reward_funcs=[tiny.odd_first_word, says_answer],
    )
    trainer.train()
    source = trainer._learner._source
    assert isinstance(source, VerdictsOfReward)
    problem = auxiliary.groups[0][0].problem
    found = source.verify([problem] * 3, [f"w1 {problem.answer}", "w38 w38 w38", "w39"])
    assert [(v.is_correct, v.reason) for v in found] == [(True, "right"), (False, "wrong"), (False, "unscored")]
    for group in auxiliary.groups[0]:
        for rollout in group.rollouts:
            assert rollout.verdict.is_correct is (group.problem.answer in rollout.text.split())
    assert not trainer._pending_metrics


class SaysWord:
    """A verifier that counts what it is asked."""

    def __init__(self):
        self.asked = 0

    def verify(self, problems, responses):
        self.asked += len(responses)
        return [Verdict(is_correct="w1" in r, reason="right" if "w1" in r else "wrong") for r in responses]


def test_a_verifiers_own_reward_is_not_asked_twice_about_a_rollout(tmp_path):
    verifier = SaysWord()
    auxiliary = tiny.RowsFrom(lambda call: [], prompts=lambda call: 2)
    args = tiny.config(tmp_path, max_steps=1)
    trainer = tiny.mel_trainer(args, auxiliary, reward_funcs=VerifierReward(verifier), verifier=verifier)
    trainer.train()
    assert verifier.asked == 8 + 2
    for group in auxiliary.groups[0]:
        assert all(r.verdict.is_correct is ("w1" in r.text) for r in group.rollouts)


def test_a_verifier_beside_another_reward_decides_the_verdicts(tmp_path):
    verifier = SaysWord()
    auxiliary = tiny.RowsFrom(lambda call: [])
    tiny.mel_trainer(tiny.config(tmp_path, max_steps=1), auxiliary, verifier=verifier).train()
    assert verifier.asked == 8


def test_a_reward_model_cannot_say_right_or_wrong(tmp_path):
    trainer = tiny.trainer(GRPOTrainer, tiny.config(tmp_path))
    trainer.reward_funcs = [trainer.model]
    with pytest.raises(ValueError, match="is a reward model; verdicts need a reward function"):
        rollout_verifier(trainer, ChatTokenizer(tiny.tokenizer()), verifier=None, which=None, threshold=0.5)


def test_a_tokenizer_without_chat_template_is_refused(tmp_path):
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = None
    with pytest.raises(ValueError, match="no chat template"):
        MELTrainer(
            model=tiny.model(),
            reward_funcs=tiny.constant,
            args=tiny.config(tmp_path),
            train_dataset=tiny.dataset(),
            processing_class=tokenizer,
        )


def reported(monkeypatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(verdicts.logger, "warning", lambda text, *values: said.append(text % values))
    return said


def rewards_of(*rewards):
    return Scored(
        examples=[{}] * len(rewards),
        completion_ids=[],
        rewards=[],
        all_rewards=[],
        rewards_per_function=[[0.0, reward] for reward in rewards],
    )


def two_functions():
    """As much of a trainer as the choice of a reward function reads."""
    return SimpleNamespace(reward_funcs=[tiny.odd_first_word, says_answer], reward_func_names=["odd", "says_answer"])


@pytest.mark.parametrize(
    ("rewards", "said"),
    [
        ([0.0, 0.1, 0.5, math.nan], "all 15 rollouts of the first 5 generation batches a reward at or below"),
        ([1.0, 2.0, 3.0], "all 15 rollouts of the first 5 generation batches a reward above mel_right_above=0.5"),
        ([0.0, 1.0], None),
    ],
)
def test_rewards_on_one_side_of_the_threshold_are_reported_once(rewards, said, monkeypatch):
    found = reported(monkeypatch)
    source = rollout_verifier(two_functions(), None, verifier=None, which="says_answer", threshold=0.5)
    problems = [Problem(id="p", text="p", answer="1")] * len(rewards)
    for batch in range(8):
        source.of_rollouts(rewards_of(*rewards), problems)
        assert bool(found) is (said is not None and batch >= 4)
    assert len(found) <= 1
    assert said is None or ("'says_answer'" in found[0] and said in found[0])


def test_several_reward_functions_of_which_none_was_chosen_are_named(monkeypatch):
    found = reported(monkeypatch)
    rollout_verifier(two_functions(), None, verifier=None, which=None, threshold=0.5)
    assert "of the reward functions 'odd', 'says_answer' the first one says which rollouts and replays" in found[0]
    rollout_verifier(two_functions(), None, verifier=None, which="odd", threshold=0.5)
    assert len(found) == 1


@pytest.mark.parametrize("column", ["answer", "solution"])
def test_a_gold_that_is_an_object_is_refused_by_its_column(column):
    with pytest.raises(ValueError, match=f"text in the column {column}, got an object with value: name the field"):
        problem_of({"prompt": "p", column: {"value": 3}})


def test_a_gold_that_is_a_list_or_a_number_is_the_text_of_it():
    assert problem_of({"prompt": "p", "answer": ["1", 2]}).answer == "1, 2"
    assert problem_of({"prompt": "p", "answer": 3.0}).answer == "3"
