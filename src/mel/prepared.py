"""What is settled before a model is loaded, and what a run asks of the host that trains it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mel.config import EvaluationSection, Recipe, SuiteSection
from mel.methods import Method
from mel.ports import Ask, Observer, Recall, Task, Tokenizer, Verifier
from mel.prompts import PromptSet
from mel.types import Problem

Log = Callable[[Mapping[str, float]], None]
"""Takes metrics that are logged beside those of training."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """One suite of a recipe: its task, how it is asked, and its problems."""

    section: SuiteSection
    task: Task
    ask: Ask
    problems: tuple[Problem, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A recipe that was checked, and what its names stand for; `mel.run.prepare` makes it.

    Args:
        name, evaluation: of the recipe.
        verifier: the task's, which must not fail quietly.
        problems: of the training set; none if nothing needs them.
        suites: those that are evaluated.
        tokenizer: the model's own, as Hugging Face has it; `chat` is the port over it.
        trainer: what the host made of the recipe; None where nothing is trained.
        recall: the experiences of earlier runs that auxiliaries name.
    """

    recipe: Recipe
    name: str
    task: Task
    verifier: Verifier
    prompt_set: PromptSet
    ask: Ask
    problems: tuple[Problem, ...]
    evaluation: EvaluationSection
    suites: tuple[Suite, ...]
    model_path: str
    tokenizer: Any
    chat: Tokenizer
    trainer: Any = None
    recall: Recall | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """What a run saved to go on from.

    Args:
        step: optimizer steps that were done by then.
        problem: why training cannot go on from it, as a predicate (`optimizer.pt is missing`); empty if it can.
        is_finished: it was written to its end; what is wrong with it came later.
    """

    path: Path
    step: int
    problem: str = ""
    is_finished: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """How training ended.

    Args:
        step: optimizer steps done.
        is_stopped: on request, with a checkpoint and before its last step.
        policy: the trained model, ready to answer.
        answering: to be entered around all its answers; they are the same without it, and may take longer.
    """

    step: int
    is_stopped: bool
    policy: Any
    answering: AbstractContextManager[Any] = field(default_factory=nullcontext)


class RefusedError(ValueError):
    """The trainer refused what it was given before its first step; the message says what."""


class Host(Protocol):
    """What trains. A host's package holds one in its module `fit`, by the name `HOST`."""

    def arguments(self, recipe: Recipe, path: Path) -> Any:
        """The trainer's own configuration, which `Prepared.trainer` keeps; no weight is read for it.

        Args:
            path: of the run directory.

        Raises:
            ValueError: a field that the trainer does not know or refuses.
        """
        ...

    def total_steps(self, prepared: Prepared) -> int:
        """Optimizer steps of the whole run; no weight is read for it.

        Raises:
            ValueError: there would be none.
        """
        ...

    def checkpoints(self, path: Path, *, total: int) -> Sequence[Checkpoint]:
        """Every checkpoint in that run directory, by step, those that cannot be used included.

        Args:
            total: optimizer steps of the run.
        """
        ...

    def load(self, prepared: Prepared) -> Any:
        """The untrained policy: here weights are read for the first time."""
        ...

    def answering(self, prepared: Prepared, policy: Any) -> AbstractContextManager[Any]:
        """The untrained policy where it can answer; afterwards it is where `fit` expects it."""
        ...

    def fit(
        self,
        prepared: Prepared,
        method: Method,
        observer: Observer,
        *,
        policy: Any,
        checkpoint: Checkpoint | None = None,
        between: Callable[[int, Any, Log], None],
        save_to: Path | None = None,
    ) -> Fitted:
        """Train to the last step, or until told to stop.

        Args:
            observer: hears of every outcome and metric, on the main process.
            checkpoint: to go on from.
            between: called on the main process after every step with its number, the policy and where to log.
            save_to: where the trained policy goes unless training was stopped; None: nowhere.

        Raises:
            RefusedError: the trainer refuses model or settings; no step was begun.
        """
        ...

    def leave(self) -> None:
        """Ends what the processes share, once all of them are done."""
        ...
