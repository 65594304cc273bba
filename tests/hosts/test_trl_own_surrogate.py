"""A surrogate that TRL lacks: the policy loss around it is TRL's, and at ratios of 1 so is the loss itself."""

from dataclasses import replace

import pytest
import tiny
import torch
from tiny import by_place, distance, still
from two_ranks import fixed_completions

from mel.hosts.trl import MELTrainer
from mel.hosts.trl.surrogates import check_surrogate, own_surrogate
from mel.methods import CARRIERS
from mel.objective.surrogates import clipped

LOSSES = ("grpo", "dapo", "dr_grpo")


def gradients(args, *auxiliaries, **keywords):
    return tiny.gradients_of(args, *auxiliaries, reward_funcs=by_place, rollout_func=fixed_completions, **keywords)


@pytest.mark.parametrize("layout", [{}, {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4}])
@pytest.mark.parametrize("loss_type", LOSSES)
def test_at_ratios_of_one_maspo_has_the_gradient_of_grpo(tmp_path, loss_type, layout):
    args = still(tmp_path, loss_type=loss_type, temperature=0.7, **layout)
    (grpo,) = gradients(args)
    (maspo,) = gradients(args, carrier="maspo")
    assert distance(maspo, grpo) < 1e-6


class Clipped(MELTrainer):
    """Computes TRL's own surrogate by the loss that is meant for others."""

    def __init__(self, *positional, **keywords):
        super().__init__(*positional, **keywords)
        self.own_surrogate = clipped


TWICE = {"num_iterations": 2, "max_steps": 2, "learning_rate": 1e-2}


@pytest.mark.parametrize("loss_type", LOSSES)
def test_the_loss_around_a_surrogate_is_trls_where_a_batch_is_used_twice(tmp_path, loss_type):
    args = still(tmp_path, loss_type=loss_type, **TWICE)
    theirs, ours = gradients(args), gradients(args, cls=Clipped)
    assert len(theirs) == 2
    assert [distance(a, b) < 1e-5 for a, b in zip(ours, theirs, strict=True)] == [True, True]


def test_maspo_departs_from_grpo_where_a_batch_is_used_twice(tmp_path):
    args = still(tmp_path, **TWICE)
    grpo, maspo = gradients(args), gradients(args, carrier="maspo")
    assert distance(maspo[0], grpo[0]) < 1e-6
    assert distance(maspo[1], grpo[1]) > 1e-2


def test_rows_of_the_policy_are_learned_by_the_same_surrogate(tmp_path):
    args = still(tmp_path, **TWICE)
    equal = tiny.Changes(
        lambda groups: [replace(g, rollouts=(replace(g.rollouts[0]), *g.rollouts[1:])) for g in groups]
    )
    alone, changed = gradients(args, carrier="maspo"), gradients(args, equal, carrier="maspo")
    assert [distance(a, b) < 1e-5 for a, b in zip(changed, alone, strict=True)] == [True, True]


def test_what_the_loss_leaves_out_is_refused(tmp_path):
    for changes, message in (
        ({"beta": 0.1}, r"'maspo' needs .*beta.* found"),
        ({"entropy_coef": 0.1}, r"'maspo' needs .*entropy_coef.* found"),
        ({"importance_sampling_level": "sequence"}, r"'maspo' needs .*importance_sampling_level"),
        ({"loss_type": "cispo"}, r"'maspo' is no loss of TRL's and knows .*dapo.*; got 'cispo'"),
    ):
        with pytest.raises(ValueError, match=message):
            check_surrogate(tiny.config(tmp_path, **changes), "maspo")


def test_the_settings_of_a_carrier_reach_its_surrogate():
    carrier = CARRIERS["maspo"](sigma=0.5, alpha=0.0, beta_positive=0.0).build(None)
    surrogate = own_surrogate(carrier)
    logp, old = torch.tensor([[0.0]]), torch.tensor([[-1.0]])
    loss, _ = surrogate(
        logp,
        old,
        torch.ones(1, 1),
        torch.ones(1, 1, dtype=torch.bool),
        epsilon_low=0.2,
        epsilon_high=0.2,
        level="token",
    )
    e = 2.718281828
    assert loss.item() == pytest.approx(-e * 2.718281828 ** (-((e - 1) ** 2) / (2 * 0.25)), rel=1e-4)
    assert own_surrogate(CARRIERS["grpo"]().build(None)) is None
