"""A reward model that is learned beside the policy: what it says, how it learns, what a checkpoint keeps of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import reference
import tiny
import torch
from peft import LoraConfig

from mel import prompts
from mel.config import load_recipe
from mel.hosts.trl import MELTrainer
from mel.hosts.trl.arguments import arguments_of
from mel.hosts.trl.implicit_reward import FILE, ImplicitReward, rewarder_of
from mel.hosts.trl.problems import lines_as_steps
from mel.methods import LearnedReward, Surroundings, build, credit_settings
from mel.prompts.chat import ChatTokenizer
from mel.requests import Reward

SPEC = LearnedReward(beta=0.5, learning_rate=1e-2)
CONTEXTS = ((5, 6, 7), (8,), (9, 10))
TARGETS = ((20, 21), (22, 23, 24), ())
ASKED = Reward(contexts=CONTEXTS, targets=TARGETS, outcomes=(True, False, False))


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tiny.mel_trainer(tiny.config(tmp_path_factory.mktemp("run")))


def flat(rewards: list[tuple[float, ...]]) -> list[float]:
    return [value for of_target in rewards for value in of_target]


def test_before_it_has_learned_no_token_is_worth_anything(trainer: Any) -> None:
    found = ImplicitReward(trainer, SPEC).reward(ASKED)
    assert [len(of_target) for of_target in found] == [2, 3, 0]
    assert flat(found) == pytest.approx([0.0] * 5, abs=1e-6)


def test_after_a_step_on_outcomes_its_rewards_are_those_of_a_step_worked_out_beside_it(trainer: Any) -> None:
    rewarder = ImplicitReward(trainer, SPEC)
    rewarder.reward(ASKED)
    second = rewarder.reward(ASKED)

    initial, learned = reference.double(trainer.model), reference.double(trainer.model)
    optimizer = torch.optim.AdamW(learned.parameters(), lr=1e-2, weight_decay=0.0)

    def ratios(model: Any) -> list[torch.Tensor]:
        pairs = list(zip(CONTEXTS, TARGETS, strict=True))[:2]
        return [0.5 * (reference.logprobs(model, c, t) - reference.logprobs(initial, c, t).detach()) for c, t in pairs]

    right, wrong = (r.sum() for r in ratios(learned))
    # The third target has no token: its sum is 0 whatever the weights are, and it counts in the mean of three.
    loss = -(torch.nn.functional.logsigmoid(right) + torch.nn.functional.logsigmoid(-wrong)) / 3
    loss.backward()
    optimizer.step()
    expected = [value for r in ratios(learned) for value in r.tolist()]
    assert flat(second) == pytest.approx(expected, abs=2e-4)
    assert sum(second[0]) > 0 > sum(second[1])


def test_a_request_without_solutions_changes_nothing(trainer: Any) -> None:
    rewarder = ImplicitReward(trainer, SPEC)
    rewarder.reward(ASKED)
    before = {name: p.clone() for name, p in rewarder._learned.named_parameters()}
    assert rewarder.reward(Reward(contexts=(), targets=(), outcomes=())) == []
    assert all(torch.equal(before[name], p) for name, p in rewarder._learned.named_parameters())


def test_a_checkpoint_continues_as_if_it_had_not_been_written(trainer: Any, tmp_path: Path) -> None:
    one, other = ImplicitReward(trainer, SPEC), ImplicitReward(trainer, SPEC)
    one.reward(ASKED)
    one.save(tmp_path)
    other.load(tmp_path)
    for _ in range(2):
        assert one.reward(ASKED) == other.reward(ASKED)


def test_a_checkpoint_without_it_is_refused(trainer: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"holds no {FILE}: expected a checkpoint of a run with source: implicit"):
        ImplicitReward(trainer, SPEC).load(tmp_path)


def test_an_adapter_cannot_be_copied_as_a_whole_model(tmp_path: Path) -> None:
    lora = tiny.mel_trainer(tiny.config(tmp_path), peft_config=LoraConfig(r=2, target_modules=["q_proj"]))
    with pytest.raises(ValueError, match=r"neither sharded .* nor trained by a LoRA adapter"):
        rewarder_of(lora, SPEC)


def test_a_run_learns_it_beside_the_policy_and_keeps_it_in_its_checkpoint(tmp_path: Path) -> None:
    args = tiny.config(tmp_path, max_steps=2, save_strategy="steps", save_steps=2)
    at = Surroundings(
        tokenizer=ChatTokenizer(tiny.tokenizer()),
        prompts=prompts.load("story_counts"),
        steps=lines_as_steps,
        rollout_max_tokens=6,
    )
    credit = credit_settings("process_reward", {"source": "implicit", "learning_rate": 1e-2, "groups": "all"})
    trainer = tiny.trainer(MELTrainer, args, method=build(at=at, credit=credit))
    trainer.train()
    learned, initial = trainer._learner.rewarder._learned, trainer._learner.rewarder._initial
    assert any(not torch.equal(a, b) for a, b in zip(learned.parameters(), initial.parameters(), strict=True))
    assert (tmp_path / "checkpoint-2" / FILE).is_file()
    assert any("time_s/reward" in line for line in trainer.state.log_history)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            ["credit.settings={source: implicit}", "model.lora={r: 2}"],
            "neither sharded .* nor trained by a LoRA adapter",
        ),
        (["credit.settings={source: model, model: /no/prm}"], "process reward model /no/prm: "),
    ],
)
def test_a_recipe_whose_reward_model_cannot_be_is_refused_before_a_weight_is_read(
    tmp_path: Path, changes: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        arguments_of(load_recipe("process_reward", changes), tmp_path)
