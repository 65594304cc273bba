"""Rewriting: a string puzzle in which every step can be checked and every misconception has a name.

A problem is five different letters and moves (``start b a d e c 1) flim 2) zost``). Each of 30 made-up words is a move
of one of five kinds: it turns the string round, moves all letters ahead or behind by one (who falls off one end comes
back at the other), or swaps the first two letters or the ends. A solution says what each move is and what results
(``1) flim reverse = c e d a b ... answer c e d a b``).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mel.tasks.small_world import Belief, SmallWorldTask, WorldKind

LETTERS = ("a", "b", "c", "d", "e")

_WORDS: Mapping[str, str] = {
    "reverse": "flim dorn quab zost melk brin",
    "ahead": "trav gump nesk yorl pibs klat",
    "behind": "wusk jarn fople teg sliv hunz",
    "front": "krob vint moxel druv snep zeft",
    "ends": "plon hesk wirn jub taft grel",
}
MEANINGS = tuple(_WORDS)
TRUE_MEANING: Mapping[str, str] = {word: meaning for meaning, words in _WORDS.items() for word in words.split()}

_MOVES: Mapping[str, Callable[[str], str]] = {
    "reverse": lambda s: s[::-1],
    "ahead": lambda s: s[1:] + s[0],
    "behind": lambda s: s[-1] + s[:-1],
    "front": lambda s: s[1] + s[0] + s[2:],
    "ends": lambda s: s[-1] + s[1:-1] + s[0],
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Puzzle:
    """The string at the start and the words of the moves."""

    start: str
    concepts: tuple[str, ...]

    @property
    def text(self) -> str:
        """The problem as the policy sees it."""
        moves = " ".join(f"{i}) {word}" for i, word in enumerate(self.concepts, 1))
        return f"start {' '.join(self.start)} {moves}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """One step of a solution: what a word was taken for, and the string after it."""

    concept: str
    meaning: str
    string: str

    @property
    def text(self) -> str:
        """``flim reverse = c e d a b``."""
        return f"{self.concept} {self.meaning} = {self.value}"

    @property
    def value(self) -> str:
        """The letters with spaces between them."""
        return " ".join(self.string)


def _draw(rng: random.Random, length: int) -> Puzzle:
    """Five letters in a random order and random moves."""
    moves = tuple(rng.choice(list(TRUE_MEANING)) for _ in range(length))
    return Puzzle(start="".join(rng.sample(LETTERS, len(LETTERS))), concepts=moves)


def _parse(text: str) -> Puzzle:
    """The puzzle behind a problem's text."""
    words, size = text.split(), len(LETTERS)
    found = Puzzle(start="".join(words[1 : size + 1]), concepts=tuple(words[size + 2 :: 2]))
    if found.text != " ".join(words) or not found.concepts:
        raise ValueError(f"expected a puzzle such as `start b a d e c 1) flim 2) zost`; got {text!r}")
    return found


def _read(chain: Puzzle, belief: Belief) -> tuple[Move, ...]:
    """The steps of whoever takes the words so."""
    string, moves = chain.start, []
    for i, word in enumerate(chain.concepts):
        meaning = belief(word, i)
        string = _MOVES[meaning](string)
        moves.append(Move(concept=word, meaning=meaning, string=string))
    return tuple(moves)


REWRITING = WorldKind(
    name="rewriting",
    truth=TRUE_MEANING,
    meanings=MEANINGS,
    operations="moves",
    max_length=6,
    words=LETTERS,
    step=re.compile(r"(?P<number>\d+)\)\s+(?P<concept>\w+)\s+(?P<meaning>\w+)\s+=\s+[a-e]\b(?:\s+[a-e]\b)*"),
    form="k) word meaning = letters",
    step_words=9,
    value=r"[a-e](?:\s+[a-e])*",
    draw=_draw,
    parse=_parse,
    read=_read,
)


def rewriting(
    *, world: int = 0, length: int = 4, misconceived: float = 0.25, train_size: int = 4096, test_size: int = 256
) -> SmallWorldTask:
    """The task over one world of rewriting; options as of `mel.tasks.small_world.SmallWorldTask`."""
    return SmallWorldTask(
        REWRITING, world=world, length=length, misconceived=misconceived, train_size=train_size, test_size=test_size
    )
