"""The usual way to put a problem to the model: by the instruction of a prompt set."""

from __future__ import annotations

from dataclasses import dataclass

from mel.prompts import PromptSet
from mel.types import Message, Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class PlainAsk:
    """Fills `mel.ports.Ask` with the prompt set's `solve.txt` as the last user turn.

    Args:
        opening: turns before it: a system prompt, or solved examples as pairs of user and assistant turns.
    """

    prompts: PromptSet
    opening: tuple[Message, ...] = ()

    @property
    def name(self) -> str:
        """Name and hash of the prompt set."""
        return f"{self.prompts.name}@{self.prompts.sha256[:12]}"

    def __call__(self, problem: Problem) -> list[Message]:
        """The conversation that asks for a solution of this problem."""
        return [*self.opening, {"role": "user", "content": self.prompts.solve(problem.text)}]
