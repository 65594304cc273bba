"""A guard against an engine that samples from other weights than those being trained.

Loading new weights into an engine can "succeed" and change nothing (vLLM's CPU build keeps prepacked copies of
its linear layers). What it then samples is some other policy's, and nothing in the loop would notice.

`EngineCheck` compares log-probabilities of what was sampled, every so many batches. It cannot see everything: a stale
engine differs from the trainer by what training has moved the policy, which at a learning rate of 1e-6 is less than
rounding for hundreds of steps. So before the first step `EngineProbe` rescales the matrices for a moment, gives the
engine these weights by the trainer's own path and asks for a few tokens; its log-probabilities must be those of the
rescaled policy. Scaling back restores every bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.nn.utils.rnn import pad_sequence
from transformers.utils import logging
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from mel.hosts.trl.generator import sampling_as
from mel.objective.randomness import own_stream
from mel.types import Sampling

logger = logging.get_logger(__name__)

ROWS = 4
"""Rollouts per rank that are scored again; a few hundred tokens tell a stale engine from a rounding difference."""


class StaleEngineError(RuntimeError):
    """The engine's log-probabilities of what it just sampled are not those of the trained weights."""


def is_comparable(args: GRPOConfig) -> bool:
    """Whether engine and trainer mean the same distribution: vLLM reports what is left after a cut, the trainer all."""
    uncut = args.top_p == 1.0 and args.top_k in (None, 0, -1) and args.min_p in (None, 0.0)
    if not uncut or args.repetition_penalty != 1.0:
        logger.warning(
            "the engine's weights cannot be checked: its log-probabilities under top_p, top_k, min_p or "
            "repetition_penalty are not those of the policy alone"
        )
        return False
    return True


class EngineCheck:
    """Compares the engine's log-probabilities of a few sampled tokens with the trainer's own.

    Applies wherever the engine reports log-probabilities (vLLM, a `rollout_func` that returns them); with
    transformers' own generation there is nothing that could be stale.

    Args:
        every: generation batches between two checks; the first two are always checked, for the second is the
            first on updated weights. 0: never.
        tolerance: largest mean absolute difference, in nats per token. Rounding in bfloat16 gives about 0.01.
    """

    def __init__(self, trainer: GRPOTrainer, *, every: int, tolerance: float) -> None:
        self._trainer: Any = trainer
        self._every = every
        self._tolerance = tolerance
        self._batches = 0

    def __call__(self, output: Mapping[str, Any]) -> dict[str, float]:
        """What to log about this generation batch; every rank must call it.

        Raises:
            StaleEngineError: on all ranks, if any rank's difference exceeds the tolerance.
        """
        batch, self._batches = self._batches, self._batches + 1
        sampled_BT = output.get("sampling_per_token_logps")
        if sampled_BT is None or not self._every or (batch > 1 and batch % self._every):
            return {}
        local = logp_difference(sampled_BT[:ROWS], self._own(output), output["completion_mask"][:ROWS].bool())
        accelerator = self._trainer.accelerator
        worst = float(accelerator.gather(local.to(accelerator.device).reshape(1)).max())
        if worst > self._tolerance:
            raise StaleEngineError(
                f"the generation engine and the trainer disagree by {worst:.3f} nats per sampled token (tolerance "
                f"{self._tolerance:g}) before optimizer step {self._trainer.state.global_step + 1}: the engine does "
                "not run on the current weights. Generate with transformers (use_vllm=False), use an engine build "
                "whose weight loading works, or, if this is rounding or unscaled log-probabilities, raise "
                "mel_engine_tolerance"
            )
        return {"engine/logp_difference": worst}

    def _own(self, output: Mapping[str, Any]) -> Tensor:
        prompt, completion = output["prompt_ids"][:ROWS], output["completion_ids"][:ROWS]
        mask = torch.cat([output["prompt_mask"][:ROWS], output["completion_mask"][:ROWS]], dim=1)
        with torch.no_grad():
            logp_RT, _, _ = self._trainer._get_per_token_logps_and_entropies(
                self._trainer.model, torch.cat([prompt, completion], dim=1), mask, completion.size(1)
            )
        return logp_RT


def logp_difference(sampled_RT: Tensor, own_RT: Tensor, mask_RT: Tensor) -> Tensor:
    """Mean absolute difference (nats) over the masked tokens that the engine could score (not NaN); 0 if none."""
    known_RT = mask_RT & ~sampled_RT.isnan()
    difference_RT = (sampled_RT - own_RT).abs().masked_fill(~known_RT, 0.0)
    return difference_RT.sum() / known_RT.sum().clamp(min=1)


TOKENS = 16
"""Sampled per row: enough for a mean."""


class EngineProbe:
    """Once per session (a resumed run is another), at its first batch, where TRL pushes weights into an engine (vLLM).

    Args:
        tolerance: largest mean absolute difference, in nats per token, between the engine and the trainer.
    """

    def __init__(self, trainer: GRPOTrainer, *, is_wanted: bool, tolerance: float) -> None:
        self._trainer: Any = trainer
        self._tolerance = tolerance
        self._is_due = is_wanted and bool(trainer.use_vllm)

    def __call__(self, output: Mapping[str, Any]) -> dict[str, float]:
        """What to log: `engine/probe_difference`, and `engine/probe_effect` of rescaling; every rank must call it.

        Raises:
            StaleEngineError: on all ranks, if any rank's engine did not take the weights.
        """
        if not self._is_due:
            return {}
        self._is_due = False
        trainer = self._trainer
        with own_stream("engine-probe", trainer.args.seed, trainer.accelerator.process_index):
            effect, difference = self._measure(output)
        if effect < 2 * self._tolerance:
            # Nothing could be seen: weights that are sharded out of reach (ZeRO-3), or a policy of one answer.
            logger.warning(
                "whether weights arrive in the engine could not be proven: rescaling the matrices changed the "
                "log-probabilities by %.3f nats only; watch engine/logp_difference",
                effect,
            )
        elif difference > self._tolerance:
            raise StaleEngineError(
                f"weights that are pushed into the generation engine do not arrive: with all matrices rescaled it "
                f"differs from the trainer by {difference:.3f} nats per sampled token (tolerance "
                f"{self._tolerance:g}; the rescaling itself is worth {effect:.3f}). Generate with transformers "
                "(use_vllm=False), or use an engine build whose weight loading works; mel_engine_probe=False trains "
                "all the same"
            )
        return {"engine/probe_effect": effect, "engine/probe_difference": difference}

    def _measure(self, output: Mapping[str, Any]) -> tuple[float, float]:
        """Over all ranks: the least effect of rescaling and the largest difference to the engine."""
        trainer = self._trainer
        prompt_RP, mask_RP = output["prompt_ids"][:ROWS], output["prompt_mask"][:ROWS].bool()
        prompts = [ids[mask].tolist() for ids, mask in zip(prompt_RP, mask_RP, strict=True)]
        # At the trainer's temperature, by which TRL divides the logits that it scores tokens with.
        sampling = Sampling(max_tokens=TOKENS, temperature=trainer.temperature)
        try:
            with rescaled(trainer.model), sampling_as(trainer, sampling):
                trainer._last_loaded_step = -1
                completions, sampled = trainer._generate_single_turn(prompts, None, {}, num_generations=1)
                completion_RT, lengths = _padded(completions, 0, prompt_RP), torch.tensor([*map(len, completions)])
                seen_RT = (torch.arange(completion_RT.size(1)) < lengths[:, None]).to(prompt_RP.device)
                ids, mask = torch.cat([prompt_RP, completion_RT], 1), torch.cat([mask_RP, seen_RT], 1).long()
                own_RT = self._logp(ids, mask, completion_RT.size(1))
        finally:
            trainer._last_loaded_step = -1  # the next request pushes the weights as they are again
        before_RT = self._logp(ids, mask, completion_RT.size(1))
        _reshard(trainer.model)  # that push reads shards
        found = torch.stack(
            [
                logp_difference(before_RT, own_RT, seen_RT),
                logp_difference(_padded(sampled, torch.nan, own_RT), own_RT, seen_RT),
            ]
        )
        everyone = trainer.accelerator.gather(found.to(trainer.accelerator.device)[None])
        return float(everyone[:, 0].min()), float(everyone[:, 1].max())

    def _logp(self, ids: Tensor, mask: Tensor, count: int) -> Tensor:
        with torch.no_grad():
            return self._trainer._get_per_token_logps_and_entropies(self._trainer.model, ids, mask, count)[0]


@contextmanager
def rescaled(model: Any) -> Iterator[None]:
    """Inside, linear layers are twice as large and embeddings and output head half as large; outside, as they were.

    The head is made smaller and not larger: larger logits would be rounded more coarsely. Twice and half are exact
    in the formats touched (float32, bfloat16), so the weights come back bit for bit, unless a weight of the
    embeddings is below 2e-38.
    """
    _reshard(model)
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    factors: dict[int, tuple[Tensor, float]] = {}
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding) and module.weight.dtype in (torch.float32, torch.bfloat16):
            is_outer = isinstance(module, nn.Embedding) or module is head
            # By identity, for a tied head is the embedding.
            factors.setdefault(id(module.weight), (module.weight, 0.5 if is_outer else 2.0))
    with torch.no_grad():
        for weight, factor in factors.values():
            weight.mul_(factor)
        try:
            yield
        finally:
            for weight, factor in factors.values():
                weight.mul_(1.0 / factor)
            _reshard(model)


def _reshard(model: Any) -> None:
    """Free the whole weights that FSDP2 may keep after a forward pass: no change to the shards reaches them."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def _padded(rows: Sequence[Sequence[float]], fill: float, like: Tensor) -> Tensor:
    """The rows, each filled up behind its end, of the type and on the device of `like`."""
    tensors = [torch.tensor(row, dtype=like.dtype, device=like.device) for row in rows]
    return pad_sequence(tensors, batch_first=True, padding_value=fill)
