"""Groups that a method changed: a rollout is learned alike whether TRL sampled it or an auxiliary put it there."""

from dataclasses import replace

import pytest
import reference
import tiny
from tiny import by_place, distance, still
from trl.trainer.grpo_config import GRPOConfig
from two_ranks import fixed_completions

from mel.hosts.trl import MELTrainer
from mel.hosts.trl.policy_rows import check_policy_rows
from mel.hosts.trl.trainer import ROWS

LOSSES = {
    "grpo": {"loss_type": "grpo"},
    "dapo": {"loss_type": "dapo"},
    "dr_grpo": {"loss_type": "dr_grpo"},
    "gspo": {"loss_type": "grpo", "importance_sampling_level": "sequence"},
}
MOST = 6
"""Longest completion of `tiny.config`."""


def layout(accumulation):
    return {"gradient_accumulation_steps": accumulation, "per_device_train_batch_size": 8 // accumulation}


def gradients(args, *auxiliaries, **keywords):
    return tiny.gradients_of(args, *auxiliaries, reward_funcs=by_place, rollout_func=fixed_completions, **keywords)


def copied(groups, *places):
    """The groups with an equal rollout, which is another object, in some places of the first."""
    first, *others = groups
    rollouts = [replace(r) if i in places else r for i, r in enumerate(first.rollouts)]
    return [replace(first, rollouts=tuple(rollouts)), *others]


def added(groups):
    """The groups with a fifth rollout in the first, sampled from a longer context, its first two tokens given."""
    first, *others = groups
    more = replace(
        first.rollouts[0],
        token_ids=(9, 12, 30, 7, 1),
        reward=0.8,
        context_ids=(*first.prompt_ids, 20, 21),
        hint=range(2),
    )
    return [replace(first, rollouts=(*first.rollouts, more)), *others]


def replaced(groups):
    """The groups with another rollout in the second place of the last."""
    *others, last = groups
    other = replace(last.rollouts[1], token_ids=(8, 6, 1), reward=1.5, is_truncated=False)
    return [*others, replace(last, rollouts=(last.rollouts[0], other, *last.rollouts[2:]))]


CHANGES = {"added": added, "replaced": replaced, "both": lambda groups: replaced(added(groups))}


@pytest.mark.parametrize("places", [(1,), (0, 1, 2, 3)])
@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_rollout_has_the_same_gradient_as_trls_own_and_as_a_row(tmp_path, loss, accumulation, places):
    args = still(tmp_path, **layout(accumulation), **LOSSES[loss])
    (own,) = gradients(args)
    (row,) = gradients(args, tiny.Changes(lambda groups: copied(groups, *places)))
    assert distance(row, own) < 1e-6


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize("loss", LOSSES)
def test_changed_groups_have_the_gradient_of_a_mean_over_what_they_hold(tmp_path, loss, accumulation, change):
    auxiliary = tiny.Changes(CHANGES[change])
    args = still(tmp_path, temperature=0.7, **layout(accumulation), **LOSSES[loss])
    (found,) = gradients(args, auxiliary)
    (groups,) = auxiliary.handed_back
    advantages = [reference.normalized([r.reward for r in group.rollouts]) for group in groups]
    rollouts = reference.sampled(groups, advantages, loss_type=LOSSES[loss]["loss_type"], most=MOST)
    model = reference.double(tiny.model())
    total, _ = reference.clipped_loss(model, reference.double(model), rollouts, temperature=0.7)
    assert distance(found, reference.gradient_of(total, model)) < 1e-6


class Watched(MELTrainer):
    """Keeps the policy that every micro-step is made with, and which rollouts and rows it holds."""

    def _compute_loss(self, model, inputs):
        seen = self.__dict__.setdefault("seen", [])
        rows = {key: batch.num_rows for key, batch in (inputs.get(ROWS) or {}).items()}
        prompts, completions = (
            [tuple(i[m.bool()].tolist()) for i, m in zip(inputs[f"{x}_ids"], inputs[f"{x}_mask"], strict=True)]
            for x in ("prompt", "completion")
        )
        rollouts = list(zip(prompts, completions, strict=True))
        seen.append((reference.double(self.accelerator.unwrap_model(model)), rollouts, rows))
        return super()._compute_loss(model, inputs)


def added_to_both(groups):
    return [*added(groups[:1]), *added(groups[1:])]


@pytest.mark.parametrize("loss", LOSSES)
def test_a_second_pass_over_a_batch_has_the_gradient_of_the_clipped_surrogate(tmp_path, loss):
    auxiliary, recorder = tiny.Changes(lambda groups: replaced(added(groups))), tiny.StepGradients()
    args = still(tmp_path, max_steps=2, num_iterations=2, learning_rate=1e-2, temperature=0.7, **LOSSES[loss])
    trainer = tiny.mel_trainer(
        args, auxiliary, cls=Watched, callbacks=[recorder], reward_funcs=by_place, rollout_func=fixed_completions
    )
    trainer.train()
    (groups,) = auxiliary.handed_back
    advantages = [reference.normalized([r.reward for r in group.rollouts]) for group in groups]
    rollouts = reference.sampled(groups, advantages, loss_type=LOSSES[loss]["loss_type"], most=MOST)
    (then, _, _), (now, _, _) = trainer.seen
    level = LOSSES[loss].get("importance_sampling_level", "token")
    total, stopped = reference.clipped_loss(now, then, rollouts, level=level, temperature=0.7)
    assert 0 < stopped < sum(len(r.target) for r in rollouts)
    assert distance(recorder.steps[1], reference.gradient_of(total, now)) < 1e-5


@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_spread_over_two_steps_keeps_the_probabilities_it_was_sampled_with(tmp_path, loss):
    auxiliary, recorder = tiny.Changes(added_to_both), tiny.StepGradients()
    args = still(
        tmp_path, max_steps=2, steps_per_generation=2, per_device_train_batch_size=4, learning_rate=2e-3, **LOSSES[loss]
    )
    trainer = tiny.mel_trainer(
        args, auxiliary, cls=Watched, callbacks=[recorder], reward_funcs=by_place, rollout_func=fixed_completions
    )
    trainer.train()
    (groups,) = auxiliary.handed_back
    advantages = [reference.normalized([r.reward for r in group.rollouts]) for group in groups]
    rollouts = reference.sampled(groups, advantages, loss_type=LOSSES[loss]["loss_type"], most=MOST)
    level = LOSSES[loss].get("importance_sampling_level", "token")
    then = trainer.seen[0][0]
    for step, (now, sampled, rows) in enumerate(trainer.seen):
        assert rows == {("", "policy"): 1}
        # The longer of the two added contexts goes first; each step holds half of the batch and counts it as the whole.
        more = sorted((rollouts[4], rollouts[9]), key=lambda r: len(r.context), reverse=True)[step]
        own = [next(r for r in rollouts if (r.context, r.target) == both) for both in sampled]
        half = [replace(r, divisor=r.divisor / 2) for r in [*own, more]]
        total, _ = reference.clipped_loss(now, then, half, level=level)
        assert distance(recorder.steps[step], reference.gradient_of(total, now)) < 1e-5


class Undeclared(tiny.RowsFrom):
    """Hands back groups without a word in a declaration."""

    def learn(self, groups, *, step):
        outcome = yield from super().learn(groups, step=step)
        return replace(outcome, groups=tuple(added(groups)))


def test_groups_that_nobody_declared_to_change_are_refused(tmp_path):
    with pytest.raises(ValueError, match="'rows_from' handed back groups, and its settings do not say"):
        gradients(still(tmp_path), Undeclared(lambda call: []))


@pytest.mark.parametrize(
    "field",
    [
        {"loss_type": "bnpo"},
        {"beta": 0.1},
        {"delta": 4.0},
        {"top_entropy_quantile": 0.5},
        {"mask_truncated_completions": True},
        {"scale_rewards": "none"},
        {"multi_objective_aggregation": "normalize_then_sum"},
    ],
    ids=lambda field: next(iter(field)),
)
def test_settings_that_would_learn_a_row_otherwise_than_a_rollout_are_refused(field):
    with pytest.raises(ValueError, match=f"auxiliary 'x' .*{next(iter(field))}"):
        check_policy_rows(
            GRPOConfig(output_dir="unused", use_cpu=True, bf16=False, **field), "auxiliary 'x'", carrier="grpo"
        )


def test_another_carrier_than_grpo_normalizes_for_itself():
    args = GRPOConfig(output_dir="unused", use_cpu=True, bf16=False, loss_type="dr_grpo", scale_rewards="none")
    check_policy_rows(args, "auxiliary 'x'", carrier="dr_grpo")
