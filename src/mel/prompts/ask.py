"""The usual way to put a problem to the model: by the instruction of a prompt set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from mel.ports import Tokenizer
from mel.prompts import PromptSet
from mel.types import Group, Message, Problem, TokenIds


def conversation(opening: Sequence[Message], turn: str) -> list[Message]:
    """The turns that stand before every question, then the user's turn: so rollouts, construction, replay and
    evaluation are all asked.
    """
    return [*opening, {"role": "user", "content": turn}]


def ask_about(group: Group, turn: str, tokenizer: Tokenizer) -> TokenIds:
    """The tokens that put a question about a group's problem to the policy, after what its rollouts began with."""
    return tokenizer.chat(conversation(group.opening, turn))


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
        """Name and hash of the prompt set, and the hash of the opening if there is one."""
        name = f"{self.prompts.name}@{self.prompts.sha256[:12]}"
        if not self.opening:
            return name
        text = json.dumps(self.opening, sort_keys=True, ensure_ascii=False)
        return f"{name}+opening@{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def __call__(self, problem: Problem) -> list[Message]:
        """The conversation that asks for a solution of this problem."""
        return conversation(self.opening, self.prompts.solve(problem.text))
