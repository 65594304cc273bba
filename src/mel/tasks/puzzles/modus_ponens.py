"""Chains of modus ponens over made-up words: a fact, implications in a random order, and the end that they lead to.

From `flim` and `if flim then zost` follows `zost`. Every word implies one other at most, so what follows is one chain.
Implications that start from no derived word lead astray. A right answer is the last word of the chain.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise

from mel.tasks.puzzles.entry import Entry

_ONSETS = (
    "b",
    "d",
    "f",
    "g",
    "k",
    "l",
    "m",
    "n",
    "p",
    "r",
    "s",
    "t",
    "v",
    "z",
    "br",
    "dr",
    "fl",
    "gr",
    "kl",
    "pl",
    "sn",
)
_NUCLEI = ("a", "e", "i", "o", "u")
_CODAS = ("b", "d", "g", "k", "lm", "nt", "p", "rk", "st", "x")


@dataclass(kw_only=True, slots=True)
class ModusPonensConfig:
    """What a problem looks like.

    Args:
        min_length, max_length: implications of the chain.
        distractors: implications that never fire.
    """

    min_length: int = 3
    max_length: int = 6
    distractors: int = 4

    def validate(self) -> None:
        """Raises ValueError for a value out of range."""
        if not 1 <= self.min_length <= self.max_length <= 50:
            raise ValueError(
                f"expected 1 <= min_length <= max_length <= 50; got {self.min_length} and {self.max_length}"
            )
        if not 0 <= self.distractors <= 50:
            raise ValueError(f"expected distractors from 0 to 50; got {self.distractors}")


class ModusPonens:
    """The data set."""

    def __init__(self, config: ModusPonensConfig, *, seed: int) -> None:
        self._config, self._seed = config, seed

    def entry(self, index: int) -> Entry:
        """The item of that index."""
        rng = random.Random(f"modus ponens {self._seed} {index}")
        length = rng.randint(self._config.min_length, self._config.max_length)
        words = _words(rng, length + 1 + 2 * self._config.distractors)
        chain, others = words[: length + 1], words[length + 1 :]
        rules = list(pairwise(chain)) + list(zip(others[::2], others[1::2], strict=True))
        rng.shuffle(rules)
        said = "\n".join(f"If {a} then {b}." for a, b in rules)
        return Entry(
            question=f"It is known that {chain[0]} holds, and that:\n{said}\n"
            "Which word holds at the end, when no further word follows?",
            answer=chain[-1],
            metadata={"chain": chain},
        )

    def score(self, answer: str, entry: Entry) -> float:
        """1 for the last word of the chain."""
        return float(answer.strip().strip(".").lower() == entry.answer)


def _words(rng: random.Random, count: int) -> list[str]:
    """So many different made-up words."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[rng.choice(_ONSETS) + rng.choice(_NUCLEI) + rng.choice(_CODAS)] = None
    return list(found)
