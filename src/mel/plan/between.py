"""What comes between generating and training: forward passes for log-probabilities, and those of reward models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mel.config import Recipe
from mel.methods import Longest
from mel.plan.activations import Pass, activations, forward_bytes, head_tile, in_flight
from mel.plan.batch import Batch
from mel.plan.beside import reward_model
from mel.plan.context import completion_limit
from mel.plan.numbers import Numbers, is_bf16
from mel.plan.shapes import ModelShape

RATED_TOGETHER = 16
"""Solutions of one forward pass of a process reward model, whatever the batch of the policy."""


def scoring(recipe: Recipe, shape: ModelShape, batch: Batch, n: Numbers, scored: Sequence[Longest]) -> dict[str, float]:
    """Name -> bytes of the largest forward pass whose log-probabilities a method asks for; empty if none does.

    As many sequences as a micro-batch has rows go through the policy at once, without gradient. At another temperature
    than 1 the logits of all targets are held, since TRL's fused head divides by the temperature.

    Args:
        scored: the longest sequence of each phase that asks for log-probabilities.
    """

    def bytes_of(longest: Longest) -> float:
        p = _pass(recipe, rows=batch.micro, tokens=longest.tokens, targets=longest.completion)
        is_fused = float(recipe.trainer.get("temperature", 1.0)) == 1.0
        return forward_bytes(shape, n, p) + (head_tile(n, p) if is_fused else logits_bytes(shape, n, p))

    found = {f"forward pass of {longest.phase}": bytes_of(longest) for longest in scored}
    return dict([max(found.items(), key=lambda item: item[1])]) if found else {}


def rewarding(recipe: Recipe, shape: ModelShape, batch: Batch, n: Numbers, *, prompt_tokens: int) -> dict[str, float]:
    """Name -> bytes of what a reward model needs while it answers; empty without one."""
    limit = completion_limit(recipe)
    model = reward_model(recipe)
    if model is not None:
        of, width = model
        own = Numbers(master=width, model=width, residual=width, compute=width, casts_weights=False)
        p = _pass(recipe, rows=RATED_TOGETHER, tokens=prompt_tokens + limit, targets=limit)
        return {"forward pass of the process reward model": forward_bytes(of, own, p)}
    if recipe.credit.settings.learned_reward is None:
        return {}
    # The copies are float32 whatever the policy is, and learn without gradient checkpointing.
    copies = replace(
        n, master=4, model=4, residual=4, compute=2 if is_bf16(recipe) else 4, casts_weights=is_bf16(recipe)
    )
    p = replace(_pass(recipe, rows=batch.micro, tokens=prompt_tokens + limit, targets=limit), is_checkpointed=False)
    stream, logits = activations(shape, copies, p).stream, logits_bytes(shape, copies, p, is_learned=True)
    return {
        "implicit reward gradients": 4.0 * shape.parameters,
        "implicit reward activations": stream + max(in_flight(shape, copies, p), logits),
    }


def logits_bytes(shape: ModelShape, n: Numbers, p: Pass, *, is_learned: bool = False) -> float:
    """Logits of all targets, and one row of them in float32 with its exponentials.

    Args:
        is_learned: then the float32 logits of all rows are saved, and their gradient comes on top.
    """
    words = p.targets * shape.vocab_size
    return p.rows * words * (2 * n.compute + 4 if is_learned else n.compute) + 8 * words


def _pass(recipe: Recipe, *, rows: int, tokens: int, targets: int) -> Pass:
    padded = recipe.model.attention != "flash_attention_2"
    return Pass(rows=rows, tokens=tokens, targets=targets, has_padding=padded)
