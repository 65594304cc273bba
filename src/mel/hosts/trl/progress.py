"""Tells whoever follows a run which phase its optimizer step is in, and how much of that phase is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, TypeVar

from accelerate.utils import is_peft_model
from trl.trainer.grpo_trainer import GRPOTrainer

from mel.ports import Following, Observer, Requests, StepProgress
from mel.requests import phase_of

T = TypeVar("T")


class ProgressReporter:
    """Counts what a step has done, on the main process and only where an observer follows.

    It reads no tensor, makes no collective call and starts no thread. So nothing is told while an engine such as vLLM
    generates, which makes no forward pass of the trained model.
    """

    def __init__(self, trainer: GRPOTrainer, observers: Sequence[Observer]) -> None:
        self._trainer: Any = trainer
        is_main = trainer.accelerator.is_main_process
        self._followers = [o for o in observers if isinstance(o, Following)] if is_main else []
        self._phase = "rollout"
        self._micro_batches = 0

    def enter(self, phase: str) -> None:
        """A phase begins; what is counted from now on is a part of it."""
        self._phase = phase
        self._tell()

    def watch(self, requests: Requests[T]) -> Requests[T]:
        """The same requests and answers; each request begins the phase that it is counted under."""
        answers: Any = None
        while True:
            try:
                request = requests.send(answers)
            except StopIteration as stop:
                return stop.value
            self.enter(phase_of(request))
            answers = yield request

    def micro_batch(self) -> None:
        """The policy loss of the next micro-batch of this optimizer step is computed."""
        total = self._trainer.current_gradient_accumulation_steps
        self._phase = "update"
        self._micro_batches += 1
        self._tell(unit="micro-batch", done=self._micro_batches, total=total)

    def end_step(self) -> None:
        """The micro-batches of the next optimizer step are counted anew."""
        self._micro_batches = 0

    def passes(self, batches: Sequence[T]) -> Iterator[T]:
        """The same batches, each counted when its forward pass begins."""
        for number, batch in enumerate(batches, 1):
            self._tell(unit="pass", done=number, total=len(batches))
            yield batch

    @contextmanager
    def generating(self, sequences: int) -> Iterator[None]:
        """A generation call: every forward pass of the model within it is one more token of every sequence."""
        trainer = self._trainer
        if not self._followers:
            yield
            return
        self._tell(sequences=sequences)
        if trainer.use_vllm or getattr(trainer, "use_transformers_continuous_batching", False):
            yield
            return
        tokens, most = count(1), trainer.generation_config.max_new_tokens
        policy = trainer.accelerator.unwrap_model(trainer.model)
        # An adapter's `generate` is that of the model below it, which alone is then called as a module.
        policy = policy.get_base_model() if is_peft_model(policy) else policy
        hook = policy.register_forward_pre_hook(
            lambda *_: self._tell(unit="token", done=next(tokens), total=most, sequences=sequences)
        )
        try:
            yield
        finally:
            hook.remove()
        # What follows in this phase, such as verifying rollouts, is no longer about tokens.
        self._tell()

    def _tell(self, **counted: Any) -> None:
        for follower in self._followers:
            follower.on_progress(StepProgress(step=self._trainer.state.global_step + 1, phase=self._phase, **counted))
