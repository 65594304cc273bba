"""Retrieval: the experiences of a run in the prompt instead of in the weights (training-free baseline of MEL)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Literal

from mel import prompts
from mel.ports import Tokenizer
from mel.prepared import Prepared, Suite
from mel.prompts import PromptSet
from mel.prompts.ask import PlainAsk, conversation
from mel.record.provenance import sha256_of
from mel.record.run_directory import EXPERIENCES
from mel.record.search import Memory
from mel.types import Message, Problem

Part = Literal["heuristic", "experience"]
"""What stands in the prompt of an experience: its heuristic, or all that a replay quotes of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Notes:
    """What is retrieved.

    Args:
        run: whose kept experiences.
        k: of how many of them at most, all with different heuristics.
    """

    run: Path
    k: int
    part: Part = "heuristic"


@dataclass(frozen=True, kw_only=True, slots=True)
class NotesOfRun:
    """The experiences that notes are retrieved from.

    Args:
        asked: what of them shall stand before every problem.
        source: what is retrieved from, so that results of other experiences are told apart.
    """

    asked: Notes
    memory: Memory
    source: str

    @classmethod
    def open(cls, asked: Notes) -> NotesOfRun:
        """Those of the run that is named.

        Raises:
            ValueError: no run with kept experiences.
        """
        store = asked.run / EXPERIENCES
        return cls(asked=asked, memory=Memory.open(store), source=sha256_of(store)[:12])


@dataclass(frozen=True, kw_only=True, slots=True)
class RetrievingAsk:
    """Fills `mel.ports.Ask`: a problem with notes of the most similar experiences, in the words of the replay.

    A problem that shares no word with any experience is asked as it is.

    Args:
        plain: how the problem is asked without notes.
        prompts: with `replay.txt`.
    """

    plain: PlainAsk
    prompts: PromptSet
    notes: NotesOfRun

    @property
    def name(self) -> str:
        """Name and hash of the prompt set, how many notes of which experiences, and what they are unless heuristics."""
        asked = self.notes.asked
        kind = "" if asked.part == "heuristic" else f"_{asked.part}"
        return f"{self.plain.name}+retrieve{asked.k}{kind}@{self.notes.source}"

    def __call__(self, problem: Problem) -> list[Message]:
        """The conversation that asks for a solution of this problem with notes at hand."""
        asked = self.notes.asked
        found = self.notes.memory.notes(problem.text, asked.k)
        if not found:
            return self.plain(problem)
        texts = [(note.heuristic if asked.part == "heuristic" else note.experience) or "" for note in found]
        return conversation(self.plain.opening, self.prompts.replay(problem.text, "\n".join(texts)))


def with_notes(prepared: Prepared, notes: NotesOfRun) -> Prepared:
    """The same evaluation with notes of a run before every problem.

    Raises:
        ValueError: a prompt set without `replay.txt`.
    """

    def suite_with_notes(suite: Suite) -> Suite:
        plain = suite.ask
        if not isinstance(plain, PlainAsk):
            raise TypeError(f"expected a suite that is asked plainly, got {type(plain).__name__}")
        with_replay = prompts.load(plain.prompts.name, ["replay"])
        return replace(suite, ask=RetrievingAsk(plain=plain, prompts=with_replay, notes=notes))

    return replace(prepared, suites=tuple(suite_with_notes(suite) for suite in prepared.suites))


def prompt_lengths(suite: Suite, chat: Tokenizer) -> dict[str, float]:
    """Mean tokens of the suite's prompts, with notes and without: what retrieval costs at every question."""
    if not isinstance(suite.ask, RetrievingAsk):
        return {}
    asks = {"prompt_tokens": suite.ask, "prompt_tokens_without_notes": suite.ask.plain}
    return {name: fmean(len(chat.chat(ask(p))) for p in suite.problems) for name, ask in asks.items()}
