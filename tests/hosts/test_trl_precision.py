"""Mixed precision casts every weight once per generation, and the tokens are those of a cast per token."""

import pytest
import tiny
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from trl import GRPOTrainer

from mel.hosts.trl import MELTrainer
from mel.hosts.trl.precision import cast_once

PROMPTS = [[3, 10, 11, 1, 4], [3, 12, 1, 4]] * 4
LINEAR_MAPS = 2 * 7 + 1
"""Per layer four of attention and three of the feed-forward network, and the head."""


class CastsOfWeights(TorchDispatchMode):
    """Counts copies in bfloat16 that are made of trained parameters."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        is_cast = function is torch.ops.aten._to_copy.default and (kwargs or {}).get("dtype") is torch.bfloat16
        self.count += bool(is_cast and args[0].is_leaf and args[0].requires_grad)
        return function(*args, **(kwargs or {}))


def generated(cls, path, **changes):
    """What 8 sequences say, and how many copies of weights that took."""
    trainer = tiny.trainer(cls, tiny.config(path, **{"bf16": True, "max_completion_length": 12, **changes}))
    trainer.accelerator.prepare_model(trainer.model)  # as training begins: autocast around `forward`
    torch.manual_seed(0)
    with CastsOfWeights() as casts:
        found, _ = trainer._generate_single_turn(PROMPTS, None, {}, num_generations=4)
    assert not torch.is_autocast_enabled("cpu")
    return found, casts.count


def test_every_weight_is_cast_once_per_generation_and_the_tokens_are_stock_trls(tmp_path):
    stock, per_token = generated(GRPOTrainer, tmp_path / "stock")
    ours, once = generated(MELTrainer, tmp_path / "mel")
    assert ours == stock
    assert max(map(len, ours)) == 12
    assert (per_token, once) == (12 * LINEAR_MAPS, LINEAR_MAPS)


def test_nothing_is_cast_without_mixed_precision(tmp_path):
    assert generated(MELTrainer, tmp_path, bf16=False)[1] == 0


@pytest.mark.parametrize("bf16", [True, False])
def test_a_region_for_answers_is_autocast_only_in_mixed_precision(tmp_path, bf16):
    trainer = tiny.trainer(MELTrainer, tiny.config(tmp_path, bf16=bf16))
    with cast_once(trainer.accelerator):
        assert torch.is_autocast_enabled("cpu") is bf16
