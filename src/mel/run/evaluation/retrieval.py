"""Retrieval: the experiences of a run in the prompt instead of in the weights (training-free baseline of MEL)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from mel import prompts
from mel.ports import Tokenizer
from mel.prepared import Prepared, Suite
from mel.prompts import PromptSet
from mel.prompts.ask import PlainAsk, conversation
from mel.record.provenance import sha256_of
from mel.record.run_directory import EXPERIENCES
from mel.record.search import Memory
from mel.types import Message, Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class RetrievingAsk:
    """Fills `mel.ports.Ask`: a problem with the heuristics of the most similar experiences, in the replay's words.

    A problem that shares no word with any experience is asked as it is.

    Args:
        plain: how the problem is asked without notes.
        prompts: with `replay.txt`.
        k: heuristics at most, all different.
        source: what is retrieved from, so that results of other experiences are told apart.
    """

    plain: PlainAsk
    prompts: PromptSet
    memory: Memory
    k: int
    source: str

    @property
    def name(self) -> str:
        """Name and hash of the prompt set, how many notes, and of which experiences."""
        return f"{self.plain.name}+retrieve{self.k}@{self.source}"

    def __call__(self, problem: Problem) -> list[Message]:
        """The conversation that asks for a solution of this problem with notes at hand."""
        notes = self.memory.notes(problem.text, self.k)
        if not notes:
            return self.plain(problem)
        return conversation(
            self.plain.opening, self.prompts.replay(problem.text, "\n".join(n.heuristic or "" for n in notes))
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class NotesOfRun:
    """The kept experiences of a run, of which k heuristics are to stand before every problem.

    Args:
        source: what is retrieved from, so that results of other experiences are told apart.
    """

    memory: Memory
    k: int
    source: str

    @classmethod
    def open(cls, run: Path, k: int) -> NotesOfRun:
        """Those of the run in that directory.

        Raises:
            ValueError: no run with kept experiences.
        """
        store = run / EXPERIENCES
        return cls(memory=Memory.open(store), k=k, source=sha256_of(store)[:12])


def with_notes(prepared: Prepared, notes: NotesOfRun) -> Prepared:
    """The same evaluation with heuristics of a run before every problem.

    Raises:
        ValueError: a prompt set without `replay.txt`.
    """

    def suite_with_notes(suite: Suite) -> Suite:
        plain = suite.ask
        if not isinstance(plain, PlainAsk):
            raise TypeError(f"expected a suite that is asked plainly, got {type(plain).__name__}")
        with_replay = prompts.load(plain.prompts.name, ["replay"])
        ask = RetrievingAsk(plain=plain, prompts=with_replay, memory=notes.memory, k=notes.k, source=notes.source)
        return replace(suite, ask=ask)

    return replace(prepared, suites=tuple(suite_with_notes(suite) for suite in prepared.suites))


def prompt_lengths(suite: Suite, chat: Tokenizer) -> dict[str, float]:
    """Mean tokens of the suite's prompts, with notes and without: what retrieval costs at every question."""
    if not isinstance(suite.ask, RetrievingAsk):
        return {}
    asks = {"prompt_tokens": suite.ask, "prompt_tokens_without_notes": suite.ask.plain}
    return {name: fmean(len(chat.chat(ask(p))) for p in suite.problems) for name, ask in asks.items()}
