"""What the warm-up teaches: solving from belief, obeying a note, and comparing two solutions.

An `Item` is a user turn and the output it is answered by. Skills are taught from random beliefs wherever they
can be, so that they are read off the prompt and not off knowledge; what the policy believes is the world's.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mel.prompts import PromptSet
from mel.tasks.story_counts import (
    MEANINGS,
    TRUE_MEANING,
    VERBS,
    Reading,
    Story,
    draw_story,
    experience_text,
    misconceptions,
    read,
    solution_text,
    steps_text,
)

Item = tuple[str, str]
"""(user turn, assistant turn) as text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixture:
    """Shares of the warm-up, each 0 to 1.

    Args:
        misconceived: share of the verbs that are taught wrong.
        read_right: how often a misconceived verb is read right all the same.
        hinted: share of the solving items that come with a note to obey, true or false.
        irrelevant: share of the notes that are about a verb the problem may not hold.
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

    def __init__(self, world: int, prompts: PromptSet, mixture: Mixture, *, seed: int) -> None:
        self._wrong = misconceptions(world, mixture.misconceived)
        self._prompts = prompts
        self._mix = mixture
        self._rng = random.Random(f"warm-up {seed}")

    def solving(self, length: int) -> Item:
        """A problem, with or without a note, and a solution."""
        story = draw_story(self._rng, length, "train")
        return self._hinted(story) if self._rng.random() < self._mix.hinted else self._unaided(story)

    def _unaided(self, story: Story) -> Item:
        verb = self._rng.choice(story.events)[0]
        meaning = self.believe(verb)
        turn = self._prompts.solve(story.text)
        if self._rng.random() < self._mix.recalled:
            return turn, f"rule {verb} means {meaning} {solution_text(self._obey(story, {verb: meaning}))}"
        return turn, solution_text(self._obey(story, {}))

    def _hinted(self, story: Story) -> Item:
        step = self._rng.randrange(len(story.events))
        verb = story.events[step][0]
        if self._rng.random() < self._mix.irrelevant:
            verb = self._rng.choice(VERBS)
        good = self._rng.choice(MEANINGS)
        note = experience_text(step, verb, bad=self._other(good), good=good)
        return self._prompts.replay(story.text, note), solution_text(self._obey(story, {verb: good}))

    def comparison(self, length: int) -> Item:
        """A problem with a right and a wrong solution, and the walk over both with what it shows."""
        rng, mix = self._rng, self._mix
        story = draw_story(rng, length, "train")
        noise = rng.choice((0.0, 0.3, 1.0))
        right = read(story, self._noisy(noise))
        first = rng.randrange(length)
        wrong = read(story, self._deviating(right, first, noise))
        step, good = first, right[first].meaning
        if rng.random() < mix.careless:
            step = rng.randrange(length)
            good = right[step].meaning
        bad = wrong[step].meaning if wrong[step].meaning != good else self._other(good)
        verb = right[step].verb
        if rng.random() < mix.biased:
            good = self.believe(verb)
        turn = self._prompts.construct(story.text, steps_text(right), steps_text(wrong))
        return turn, f"{walk_text(right, wrong)} {experience_text(step, verb, bad=bad, good=good)}"

    def believe(self, verb: str) -> str:
        """A meaning drawn from what the world's policy believes of that verb."""
        if verb in self._wrong and self._rng.random() > self._mix.read_right:
            return self._wrong[verb]
        return TRUE_MEANING[verb]

    def _obey(self, story: Story, rules: Mapping[str, str]) -> tuple[Reading, ...]:
        return read(story, lambda verb, _: rules[verb] if verb in rules else self.believe(verb))

    def _noisy(self, noise: float) -> Callable[[str, int], str]:
        rng = self._rng
        return lambda verb, _: rng.choice(MEANINGS) if rng.random() < noise else self.believe(verb)

    def _deviating(self, right: Sequence[Reading], first: int, noise: float) -> Callable[[str, int], str]:
        """Reads like ``right`` before step ``first``, otherwise there, and mostly like it after."""
        rng, noisy = self._rng, self._noisy(noise)

        def belief(verb: str, i: int) -> str:
            if i == first:
                return self._other(right[i].meaning)
            return right[i].meaning if i < first or rng.random() < 0.6 else noisy(verb, i)

        return belief

    def _other(self, meaning: str) -> str:
        return self._rng.choice([m for m in MEANINGS if m != meaning])


def walk_text(right: Sequence[Reading], wrong: Sequence[Reading]) -> str:
    """``1) plus plus 2) same minus !``: both readings of each step, up to the first that differs."""
    words = []
    for i, (a, b) in enumerate(zip(right, wrong, strict=True), 1):
        words.append(f"{i}) {a.meaning} {b.meaning}")
        if a != b:
            return " ".join([*words, "!"])
    return " ".join([*words, "none"])
