"""The trainer around the method: engine calls, evaluation, advantages, checkpoints, what an observer hears."""

import pytest
import tiny
import torch
from trl import GRPOTrainer

from mel.hosts.trl import MELTrainer
from mel.types import Row


class CountingTrainer(MELTrainer):
    """Counts engine calls; the calls themselves are TRL's."""

    engine_calls = 0

    def _generate_single_turn(self, *args, **kwargs):
        self.engine_calls += 1
        return super()._generate_single_turn(*args, **kwargs)


class Ledger:
    """An observer that keeps all it hears."""

    def __init__(self):
        self.outcomes = []
        self.metrics = []

    def on_outcome(self, step, outcome, groups):
        self.outcomes.append((step, outcome, groups))

    def on_metrics(self, step, metrics):
        self.metrics.append((step, metrics))


def counting(args, auxiliary, **keywords):
    return tiny.mel_trainer(args, auxiliary, cls=CountingTrainer, **keywords)


@pytest.mark.parametrize("layout", [{}, {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4}])
def test_construct_and_replay_are_one_engine_call_each_per_generation_batch(tmp_path, layout):
    trainer = counting(tiny.config(tmp_path, **layout), tiny.RowsFrom(tiny.some_rows, prompts=lambda call: 5))
    trainer.train()
    assert trainer.engine_calls == 3 * (1 + 2)


def test_a_batch_without_pairs_makes_no_further_engine_call(tmp_path):
    trainer = counting(tiny.config(tmp_path), tiny.RowsFrom(lambda call: []))
    trainer.train()
    assert trainer.engine_calls == 3


def test_evaluation_runs_nothing_of_ours(tmp_path):
    auxiliary = tiny.RowsFrom(tiny.some_rows, prompts=lambda call: 2)
    observer = Ledger()
    trainer = counting(
        tiny.config(tmp_path, per_device_eval_batch_size=8), auxiliary, eval_dataset=tiny.dataset(4), observer=observer
    )
    trainer.model.eval()
    found = trainer.evaluate()
    assert auxiliary.calls == 0
    assert observer.outcomes == []
    assert not [name for name in found if "experience" in name or "objective" in name]


def test_groups_hold_the_rollouts_trl_scored(tmp_path):
    auxiliary = tiny.RowsFrom(lambda call: [])
    trainer = tiny.mel_trainer(tiny.config(tmp_path, max_steps=1), auxiliary)
    trainer.train()
    groups = auxiliary.groups[0]
    assert [len(g.rollouts) for g in groups] == [4, 4]
    tokenizer = tiny.tokenizer()
    for group in groups:
        assert tokenizer.decode(list(group.prompt_ids)).startswith(f"<user> {group.problem.text}")
        assert group.problem.answer == group.problem.text.split()[0]
        for rollout in group.rollouts:
            assert rollout.reward == float(rollout.verdict.is_correct)
            assert rollout.is_truncated is (rollout.token_ids[-1] != 1)
            assert tiny.odd_first_word([[{"content": rollout.text}]]) == [rollout.reward]


def advantages_under(tmp_path, **method):
    """Rewards and the advantages the loss saw, per rollout of the first generation batch."""
    seen = []

    class Recording(MELTrainer):
        def _generate_and_score_completions(self, inputs):
            output = super()._generate_and_score_completions(inputs)
            seen.append(output["advantages"].clone())
            return output

    auxiliary = tiny.RowsFrom(lambda call: [])
    tiny.mel_trainer(tiny.config(tmp_path, max_steps=1), auxiliary, cls=Recording, **method).train()
    return [[r.reward for r in g.rollouts] for g in auxiliary.groups[0]], seen[0], auxiliary.groups[0]


def test_a_carriers_advantages_replace_those_of_trl(tmp_path):
    rewards, advantages, _ = advantages_under(tmp_path, carrier="rloo")
    # Leave-one-out over groups of 4.
    expected = [r - (sum(group) - r) / 3 for group in rewards for r in group]
    assert advantages.tolist() == pytest.approx(expected)


def test_plain_grpo_keeps_the_advantages_of_trl(tmp_path):
    rewards, advantages, _ = advantages_under(tmp_path)
    flat = torch.tensor(rewards)
    expected = (flat - flat.mean(1, keepdim=True)) / (flat.std(1, keepdim=True) + 1e-4)
    assert advantages.tolist() == pytest.approx(expected.flatten().tolist(), abs=1e-5)


class NotTheFirstToken:
    """Credit that excuses the first token of every rollout."""

    name = "not_the_first_token"

    def assign(self, groups, advantages, outcomes):
        yield from ()
        return [
            [[0.0] + [a] * (len(r.token_ids) - 1) for r, a in zip(g.rollouts, of_group, strict=True)]
            for g, of_group in zip(groups, advantages, strict=True)
        ]


def test_credit_multiplies_advantages_token_by_token(tmp_path):
    rewards, plain, _ = advantages_under(tmp_path / "plain")
    same, weighted, _ = advantages_under(tmp_path / "credit", credit=NotTheFirstToken())
    assert rewards == same
    assert weighted.shape[0] == len(plain)
    assert weighted[:, 0].abs().max() == 0.0
    assert torch.allclose(weighted[:, 1], plain)


def test_an_observer_hears_every_outcome_and_metric(tmp_path):
    observer = Ledger()
    auxiliary = tiny.RowsFrom(tiny.some_rows, prompts=lambda call: 2)
    tiny.mel_trainer(tiny.config(tmp_path), auxiliary, observer=observer).train()
    assert [step for step, _, _ in observer.outcomes] == [1, 2, 3]
    assert [len(outcome.rows) for _, outcome, _ in observer.outcomes] == [3, 3, 3]
    step, first = observer.metrics[0]
    assert step == 1
    expected = {"reward/mean", "rows_from/rows", "tokens/rollout", "tokens/construct", "tokens/replay", "tokens/rows"}
    expected |= {"time_s/rollout", "time_s/construct", "time_s/replay", "time_s/update", "rows/real", "rows/dummy"}
    expected |= {"objective/lambda", "objective/cosine", "objective/nll", "objective/grad_norm_policy"}
    assert expected <= first.keys()
    assert first["tokens/rows"] == sum(len(r.target_ids) for r in tiny.some_rows(0))


@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4},
        # The checkpoint after 3 steps lies inside a generation batch that lasts for 2, and for 4.
        {"steps_per_generation": 2},
        {"steps_per_generation": 2, "num_iterations": 2},
    ],
    ids=["1 micro-step", "2 micro-steps", "inside a batch", "inside a batch used twice"],
)
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, layout):
    def start(name, **changes):
        args = tiny.config(tmp_path / name, max_steps=5, save_strategy="steps", save_steps=3, **layout, **changes)
        # Rows depend on the groups, which a resumed run must see again.
        auxiliary = FromGroups()
        return tiny.mel_trainer(args, auxiliary)

    rule = {"mel_measure_every": 4, "mel_decay": 0.5}
    whole = start("whole", **rule)
    whole.train()
    resumed = start("resumed", **rule)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-3"))
    left, right = tiny.parameters(whole), tiny.parameters(resumed)
    assert all(torch.equal(left[name], right[name]) for name in left)
    assert whole.state.log_history[4]["objective/lambda"] == resumed.state.log_history[-2]["objective/lambda"]


def test_a_checkpoint_inside_a_batch_of_other_processes_is_refused(tmp_path):
    args = {"max_steps": 1, "save_strategy": "steps", "save_steps": 1, "steps_per_generation": 2}
    tiny.mel_trainer(tiny.config(tmp_path, **args), tiny.RowsFrom(tiny.some_rows)).train()
    state = tmp_path / "checkpoint-1" / "mel_state.json"
    assert '"processes": 1' in state.read_text()
    state.write_text(state.read_text().replace('"processes": 1', '"processes": 2'))
    trainer = tiny.mel_trainer(
        tiny.config(tmp_path / "resumed", **args | {"max_steps": 2}), tiny.RowsFrom(tiny.some_rows)
    )
    with pytest.raises(ValueError, match="inside a generation batch; it was written by 2"):
        trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))


def test_a_setting_under_which_training_cannot_go_on_as_it_was_is_said(tmp_path, caplog):
    args = {"max_steps": 1, "save_strategy": "steps", "save_steps": 1, "ignore_data_skip": True}
    tiny.mel_trainer(tiny.config(tmp_path, **args), tiny.RowsFrom(tiny.some_rows)).train()
    resumed = tiny.mel_trainer(tiny.config(tmp_path / "resumed", **args), tiny.RowsFrom(tiny.some_rows))
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))
    assert "ignore_data_skip: the epoch begins anew with its first problems" in caplog.text


@pytest.mark.parametrize("last_step", [2, 3], ids=["at the end of an epoch", "within the second epoch"])
def test_a_run_resumed_after_its_first_epoch_goes_on_with_the_problems_of_an_uninterrupted_one(tmp_path, last_step):
    def asked(name, resume_from=None):
        # 2 of 5 problems a step, and one that waits: epochs end after steps 2, 4 and 6.
        args = tiny.config(tmp_path / name, max_steps=7, save_strategy="steps", save_steps=1)
        auxiliary = tiny.RowsFrom(lambda call: [])
        tiny.mel_trainer(args, auxiliary, train_dataset=tiny.dataset(5)).train(resume_from_checkpoint=resume_from)
        return [tuple(group.problem.text for group in groups) for groups in auxiliary.groups]

    whole = asked("whole")
    assert len({frozenset(step) for step in whole}) > 2, "expected epochs of different orders"
    assert asked("resumed", str(tmp_path / "whole" / f"checkpoint-{last_step}")) == whole[last_step:]


class FromGroups(tiny.RowsFrom):
    """Rows made of what was sampled for the groups, so that they show the state of the random streams."""

    def __init__(self):
        super().__init__(lambda call: [], prompts=lambda call: 3)

    def learn(self, groups, *, step):
        outcome = yield from super().learn(groups, step=step)
        replayed = self.answers[-1][1]
        rows = [Row(context_ids=groups[0].prompt_ids, target_ids=c.token_ids) for c in replayed]
        return type(outcome)(rows=tuple(rows), counts=outcome.counts)


def test_a_run_resumed_at_its_last_step_takes_no_further_one(tmp_path):
    whole = counting(tiny.config(tmp_path, save_strategy="steps", save_steps=3), tiny.RowsFrom(tiny.some_rows))
    whole.train()
    resumed = counting(tiny.config(tmp_path / "resumed"), tiny.RowsFrom(tiny.some_rows))
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert resumed.state.global_step == 3
    assert resumed.engine_calls == 0
    left, right = tiny.parameters(whole), tiny.parameters(resumed)
    assert all(torch.equal(left[name], right[name]) for name in left), "the checkpoint's weights were taken"


def test_a_checkpoint_of_the_stock_trainer_can_be_continued(tmp_path):
    args = {"max_steps": 2, "save_strategy": "steps", "save_steps": 1}
    tiny.trainer(GRPOTrainer, tiny.config(tmp_path / "stock", **args)).train()
    trainer = tiny.mel_trainer(tiny.config(tmp_path / "mel", **args), tiny.RowsFrom(tiny.some_rows))
    trainer.train(resume_from_checkpoint=str(tmp_path / "stock" / "checkpoint-1"))
    assert trainer.state.global_step == 2


@pytest.mark.parametrize("backward", ["joint", "separate"])
def test_lora_checkpointing_and_bfloat16_train_together(tmp_path, backward):
    from peft import LoraConfig

    args = tiny.config(
        tmp_path,
        bf16=True,
        activation_checkpointing=True,
        gradient_checkpointing=None,
        mel_weight="constant",
        mel_backward=backward,
    )
    lora = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    trainer = tiny.mel_trainer(args, tiny.RowsFrom(tiny.some_rows), peft_config=lora)
    before = tiny.parameters(trainer)
    trainer.train()
    after = tiny.parameters(trainer)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("lora" in name for name in changed)
    assert all(torch.isfinite(p).all() for p in after.values())


def test_grad_norm_measures_the_adapters_alone(tmp_path):
    from peft import LoraConfig

    lora = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    trainer = tiny.mel_trainer(tiny.config(tmp_path), tiny.RowsFrom(tiny.some_rows), peft_config=lora)
    trainer.train()
    line = next(entry for entry in trainer.state.log_history if entry.get("objective/grad_norm_policy"))
    applied = line["objective/lambda"] * line["objective/grad_norm_auxiliary"]
    assert applied == pytest.approx(3.0 * line["objective/grad_norm_policy"])


@pytest.mark.parametrize("loss_type", ["dapo", "dr_grpo", "bnpo"])
def test_other_losses_of_trl_keep_working(tmp_path, loss_type):
    trainer = tiny.mel_trainer(tiny.config(tmp_path, loss_type=loss_type, max_steps=1), tiny.RowsFrom(tiny.some_rows))
    trainer.train()
    assert trainer.state.log_history[0]["objective/nll"] > 0
