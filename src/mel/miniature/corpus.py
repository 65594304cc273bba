"""What the warm-up teaches: solving from belief, obeying a note, and comparing two solutions.

An `Item` is a user turn and the output it is answered by. Skills are taught from random beliefs wherever they
can be, so that they are read off the prompt and not off knowledge; what the policy believes is the world's.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mel.prompts import PromptSet
from mel.tasks.small_world import (
    Chain,
    Reading,
    WorldKind,
    draw_chain,
    experience_text,
    misconceptions_of,
    solution_text,
    steps_text,
)
from mel.tasks.story_counts import STORIES

Item = tuple[str, str]
"""(user turn, assistant turn) as text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixture:
    """Shares of the warm-up, each 0 to 1.

    Args:
        misconceived: share of the concepts (verbs, operators, ...) that are taught wrong.
        read_right: how often a misconceived concept is read right all the same.
        hinted: share of the solving items that come with a note to obey, true or false.
        irrelevant: share of the notes that are about a concept the problem may not hold.
        recalled: share of the other solving items that begin with a recalled rule and obey it.
        careless: share of the comparisons that blame a random step.
        biased: share of the comparisons that state the rule from belief, not from the pair.
    """

    misconceived: float = 0.3
    read_right: float = 0.25
    hinted: float = 0.4
    irrelevant: float = 0.15
    recalled: float = 0.3
    careless: float = 0.25
    biased: float = 0.25


class Corpus:
    """An endless source of warm-up items for one world; its problems are of the train split only."""

    def __init__(
        self, world: int, prompts: PromptSet, mixture: Mixture, *, seed: int, kind: WorldKind[Any] = STORIES
    ) -> None:
        self._kind = kind
        self._concepts = tuple(kind.truth)
        self._wrong = misconceptions_of(kind, world, mixture.misconceived)
        self._prompts = prompts
        self._mix = mixture
        self._rng = random.Random(f"warm-up {seed}")

    def solving(self, length: int) -> Item:
        """A problem, with or without a note, and a solution."""
        chain = draw_chain(self._kind, self._rng, length, "train")
        return self._hinted(chain) if self._rng.random() < self._mix.hinted else self._unaided(chain)

    def _unaided(self, chain: Chain) -> Item:
        concept = self._rng.choice(chain.concepts)
        meaning = self.believe(concept)
        turn = self._prompts.solve(chain.text)
        if self._rng.random() < self._mix.recalled:
            return turn, f"rule {concept} means {meaning} {solution_text(self._obey(chain, {concept: meaning}))}"
        return turn, solution_text(self._obey(chain, {}))

    def _hinted(self, chain: Chain) -> Item:
        step = self._rng.randrange(len(chain.concepts))
        concept = chain.concepts[step]
        if self._rng.random() < self._mix.irrelevant:
            concept = self._rng.choice(self._concepts)
        good = self._rng.choice(self._kind.meanings)
        note = experience_text(step, concept, bad=self._other(good), good=good)
        return self._prompts.replay(chain.text, note), solution_text(self._obey(chain, {concept: good}))

    def comparison(self, length: int) -> Item:
        """A problem with a right and a wrong solution, and the walk over both with what it shows."""
        rng, mix = self._rng, self._mix
        chain = draw_chain(self._kind, rng, length, "train")
        noise = rng.choice((0.0, 0.3, 1.0))
        right = self._kind.read(chain, self._noisy(noise))
        first = rng.randrange(length)
        wrong = self._kind.read(chain, self._deviating(right, first, noise))
        step, good = first, right[first].meaning
        if rng.random() < mix.careless:
            step = rng.randrange(length)
            good = right[step].meaning
        bad = wrong[step].meaning if wrong[step].meaning != good else self._other(good)
        concept = right[step].concept
        if rng.random() < mix.biased:
            good = self.believe(concept)
        turn = self._prompts.construct(chain.text, steps_text(right), steps_text(wrong))
        return turn, f"{walk_text(right, wrong)} {experience_text(step, concept, bad=bad, good=good)}"

    def believe(self, concept: str) -> str:
        """A meaning drawn from what the world's policy believes of that concept."""
        if concept in self._wrong and self._rng.random() > self._mix.read_right:
            return self._wrong[concept]
        return self._kind.truth[concept]

    def _obey(self, chain: Chain, rules: Mapping[str, str]) -> tuple[Reading, ...]:
        return self._kind.read(chain, lambda concept, _: rules[concept] if concept in rules else self.believe(concept))

    def _noisy(self, noise: float) -> Callable[[str, int], str]:
        rng = self._rng
        return lambda concept, _: rng.choice(self._kind.meanings) if rng.random() < noise else self.believe(concept)

    def _deviating(self, right: Sequence[Reading], first: int, noise: float) -> Callable[[str, int], str]:
        """Reads like ``right`` before step ``first``, otherwise there, and mostly like it after."""
        rng, noisy = self._rng, self._noisy(noise)

        def belief(concept: str, i: int) -> str:
            if i == first:
                return self._other(right[i].meaning)
            return right[i].meaning if i < first or rng.random() < 0.6 else noisy(concept, i)

        return belief

    def _other(self, meaning: str) -> str:
        return self._rng.choice([m for m in self._kind.meanings if m != meaning])


def walk_text(right: Sequence[Reading], wrong: Sequence[Reading]) -> str:
    """``1) plus plus 2) same minus !``: both readings of each step, up to the first that differs."""
    words = []
    for i, (a, b) in enumerate(zip(right, wrong, strict=True), 1):
        words.append(f"{i}) {a.meaning} {b.meaning}")
        if a.text != b.text:
            return " ".join([*words, "!"])
    return " ".join([*words, "none"])
