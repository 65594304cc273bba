"""The `Generator` port over the trainer's own generation path: current weights, no second engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from transformers import GenerationConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from mel.hosts.trl.ranks import max_over_ranks
from mel.ports import Tokenizer
from mel.types import Completion, Sampling, TokenIds


class TrainerGenerator:
    """Samples by `GRPOTrainer._generate_single_turn`, with its own length and temperature.

    Every rank makes the same calls with the same number of prompts, for engines that gather or slice by rank
    would otherwise hang or hand out each other's completions: the number of prompts is the maximum over ranks,
    a rank with fewer asks for completions of a trivial prompt and drops them. No call is made if no rank has any.

    Args:
        tokenizer: decodes completions, as it will decode them in the stages.
    """

    def __init__(self, trainer: GRPOTrainer, tokenizer: Tokenizer) -> None:
        self._trainer: Any = trainer
        self._tokenizer = tokenizer

    def generate(self, prompts: Sequence[TokenIds], sampling: Sampling) -> list[Completion]:
        """One completion per prompt, in order; at most one engine call, on all ranks or on none.

        Raises:
            ValueError: a seed was asked for; the trainer's own stream seeds its engine.
        """
        if sampling.seed is not None:
            raise ValueError(f"the trainer's engine takes no seed per call; got {sampling.seed}: ask without one")
        trainer = self._trainer
        count = max_over_ranks(len(prompts), trainer.accelerator)
        if count == 0:
            return []
        trivial = [trainer.eos_token_ids[0]]
        asked = [list(p) for p in prompts] + [trivial] * (count - len(prompts))
        with sampling_as(trainer, sampling), router_logits_off(trainer):
            answers, _ = trainer._generate_single_turn(asked, None, {}, num_generations=1)
        return [self._completion(ids) for ids in answers[: len(prompts)]]

    def _completion(self, token_ids: Sequence[int]) -> Completion:
        ids = tuple(token_ids)
        is_truncated = not ids or ids[-1] not in self._trainer.eos_token_ids
        return Completion(token_ids=ids, text=self._tokenizer.decode(ids), is_truncated=is_truncated)


@contextmanager
def sampling_as(trainer: Any, sampling: Sampling) -> Iterator[None]:
    """The trainer generates with these limits inside, with its own outside; TRL has no argument for it."""
    if trainer.use_vllm:
        changed = _vllm_attributes(trainer.vllm_generation, sampling)
        owner: Any = trainer.vllm_generation
    else:
        kwargs = hugging_face_kwargs(trainer.generation_kwargs, sampling)
        # TRL passes both: the configuration to `generate`, the keywords to override the model's own configuration.
        changed = {
            "generation_config": GenerationConfig(**kwargs, disable_compile=True),
            "generation_kwargs": kwargs,
        }
        owner = trainer
    before = {name: getattr(owner, name) for name in changed}
    for name, value in changed.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)


@contextmanager
def router_logits_off(trainer: Any) -> Iterator[None]:
    """A mixture of experts returns no router logits inside: its balancing loss rejects the masks of padded prompts."""
    config = trainer.accelerator.unwrap_model(trainer.model).config
    configs = [c for c in (config, config.get_text_config()) if getattr(c, "output_router_logits", False)]
    for each in configs:
        each.output_router_logits = False
    try:
        yield
    finally:
        for each in configs:
            each.output_router_logits = True


def hugging_face_kwargs(base: dict[str, Any], sampling: Sampling) -> dict[str, Any]:
    """The trainer's generation keywords with another limit and temperature; greedy at temperature 0."""
    kwargs = {**base, "max_new_tokens": sampling.max_tokens}
    if sampling.temperature > 0:
        return {**kwargs, "do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p}
    # Sampling parameters beside greedy decoding make transformers warn.
    for name in ("temperature", "top_p", "top_k", "min_p"):
        kwargs.pop(name, None)
    return {**kwargs, "do_sample": False}


def _vllm_attributes(engine: Any, sampling: Sampling) -> dict[str, Any]:
    wanted = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p if sampling.temperature > 0 else 1.0,
        "max_completion_length": sampling.max_tokens,
    }
    # `generation_kwargs` are applied last and would win over the attributes.
    shadowed = {"temperature", "top_p", "max_tokens"}
    return {**wanted, "generation_kwargs": {k: v for k, v in engine.generation_kwargs.items() if k not in shadowed}}
