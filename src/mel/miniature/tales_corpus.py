"""What the warm-up for tales teaches: solving, comparing two solutions, and using a note.

Every prompt is built by the functions that build the method's own, so that the skills are there where training asks for
them. Verbs that training practices occur in comparisons and beside notes only, with a meaning drawn at random: what a
policy can read off the prompt it is taught to read there, and what such a verb means is not given away.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mel.ports import Tokenizer
from mel.prompts import PromptSet
from mel.stages.experience import construction_turn
from mel.stages.replay import replay_prefix, replay_prompt
from mel.tasks.tales.note import experience_of
from mel.tasks.tales.story import (
    Belief,
    Event,
    Tale,
    counts,
    draw_tale,
    solution_of,
    steps_of,
    true_meaning,
)
from mel.tasks.tales.task import Tales, problem_of
from mel.tasks.tales.verbs import MEANINGS, SENTENCES, VERBS, Meaning
from mel.types import Candidate, Completion, Group, MetaExperience, Pair, Problem, Rollout, Step, TokenIds, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixture:
    """Shares of the warm-up, each 0 to 1; what is left of the items are replays.

    Args:
        solving: problems of taught verbs with their solution.
        comparing: construction prompts with the experience to write.
        from_step: share of the replays that continue a wrong solution before its first error.
        irrelevant: share of the notes that are about a verb the problem does not hold.
        contradicting: share of the notes that give a taught verb a meaning, mostly a wrong one, to be obeyed.
        slips: share of the wrong solutions that read every verb well and miscount.
    """

    solving: float = 0.3
    comparing: float = 0.35
    from_step: float = 0.7
    irrelevant: float = 0.2
    contradicting: float = 0.25
    slips: float = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One sequence of the warm-up.

    Args:
        kind: `solve`, `compare`, `replay` or `continue`.
        target_ids: what is learned, end of sequence included.
    """

    kind: str
    prompt_ids: TokenIds
    target_ids: TokenIds


def pair_of(
    problem: Problem, right: str, wrong: str, task: Tales, tokenizer: Tokenizer, end: TokenIds, prompts: PromptSet
) -> Pair:
    """Two solutions as if they had been sampled in one group."""
    rollouts = tuple(
        Rollout(
            token_ids=tokenizer.encode(text) + end,
            text=text,
            verdict=Verdict(is_correct=is_correct, reason="right" if is_correct else "wrong"),
            reward=float(is_correct),
        )
        for text, is_correct in ((right, True), (wrong, False))
    )
    turn = prompts.solve(problem.text)
    group = Group(problem=problem, prompt_ids=tokenizer.chat([{"role": "user", "content": turn}]), rollouts=rollouts)
    steps: list[tuple[Step, ...]] = [task.steps(r.text) for r in rollouts]
    return Pair(
        group=group, right=rollouts[0], wrong=rollouts[1], wrong_index=1, right_steps=steps[0], wrong_steps=steps[1]
    )


class TalesCorpus:
    """An endless source of warm-up items.

    Args:
        end: ids that end an assistant's turn.
        lengths: numbers of events, drawn evenly.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        prompts: PromptSet,
        *,
        end: TokenIds,
        seed: int,
        mixture: Mixture | None = None,
        lengths: Sequence[int] = (2, 2, 3, 3, 3, 4),
    ) -> None:
        self._tokenizer, self._prompts, self._end = tokenizer, prompts, end
        self._mix, self._lengths = mixture or Mixture(), lengths
        self._rng = random.Random(f"tales warm-up {seed}")
        self._task = Tales()
        self._taught: Mapping[Meaning, Sequence[str]] = self._task.parts["taught"]
        known = {verb for verbs in self._taught.values() for verb in verbs}
        self._others = [verb for verbs in VERBS.values() for verb in verbs if verb not in known]

    def items(self) -> Iterator[Item]:
        """Items in the shares of the mixture, the same for the same seed."""
        while True:
            kind = self._rng.random()
            if kind < self._mix.solving:
                yield self.solving()
            elif kind < self._mix.solving + self._mix.comparing:
                yield self.comparison()
            else:
                yield self.replay()

    def solving(self) -> Item:
        """A problem of taught verbs and its solution."""
        tale = self._tale()
        turn = self._prompts.solve(tale.text)
        prompt_ids = self._tokenizer.chat([{"role": "user", "content": turn}])
        return self._item("solve", prompt_ids, solution_of(steps_of(tale)))

    def comparison(self) -> Item:
        """A right and a wrong solution, and the experience that they show."""
        tale = self._tale()
        for i in range(len(tale.events)):
            if self._rng.random() < 0.5:
                tale = self._renamed(tale, i, self._rng.choice(self._others), self._rng.choice(MEANINGS))
        pair, experience = self._pair(tale, self._rng.randrange(len(tale.events)), true_meaning(tale))
        turn = construction_turn(pair, self._prompts)
        return self._item("compare", self._tokenizer.chat([{"role": "user", "content": turn}]), experience.text)

    def replay(self) -> Item:
        """A problem with a note and the solution that obeys it, from the start or from before the wrong step."""
        rng, tale = self._rng, self._tale()
        at = rng.randrange(len(tale.events))
        verb, meaning = tale.events[at].verb, rng.choice(MEANINGS)
        draw = rng.random()
        if draw >= self._mix.irrelevant + self._mix.contradicting:
            verb = rng.choice(self._others)
        if draw >= self._mix.irrelevant:
            tale = self._renamed(tale, at, verb, meaning)
        pair, experience = self._pair(tale, at, _obeying(tale, verb, tale.events[at].meaning))
        if draw < self._mix.irrelevant:
            experience = self._irrelevant(tale, at)
        start = "bifurcation" if rng.random() < self._mix.from_step else "start"
        blank = Completion(token_ids=(), text="")
        asked = Candidate(
            pair=pair, context_ids=(), completion=blank, experience=replace(experience, bifurcation=at + 1)
        )
        prefix = replay_prefix(asked, self._tokenizer, start=start)
        prompt = replay_prompt(pair.group, experience, self._tokenizer, self._prompts) + prefix
        rest = pair.right.text[len(self._tokenizer.decode(prefix)) :]
        return self._item("continue" if prefix else "replay", prompt, rest)

    def _irrelevant(self, tale: Tale, at: int) -> MetaExperience:
        """A note about a verb that the tale does not hold."""
        held = {event.verb for event in tale.events}
        verb = self._rng.choice([v for v in self._others if v not in held])
        good = self._rng.choice(MEANINGS)
        event = self._renamed(tale, at, verb, good).events[at]
        return experience_of(at + 1, event, bad=self._other(good), good=good)

    def _tale(self) -> Tale:
        # No count below 9: whatever an event is taken for afterwards, nobody has fewer than none.
        return draw_tale(self._rng, self._taught, length=self._rng.choice(self._lengths), lowest=9)

    def _renamed(self, tale: Tale, at: int, verb: str, meaning: Meaning) -> Tale:
        """The tale with another verb at an event, taken for ``meaning`` and worded like a verb of that meaning.

        The wording must follow the meaning that is claimed: the verb's own would say what it really means.
        """
        old = tale.events[at]
        phrase = self._rng.choice(SENTENCES["seen"][meaning]).format(verb=verb, n=old.amount, things=tale.things)
        event = Event(verb=verb, meaning=meaning, amount=old.amount, phrase=phrase)
        changed = replace(tale, events=(*tale.events[:at], event, *tale.events[at + 1 :]))
        return changed if min(counts(changed)) >= 0 else replace(changed, start=changed.start + 30)

    def _pair(self, tale: Tale, at: int, belief: Belief) -> tuple[Pair, MetaExperience]:
        """The solution of who reads as ``belief``, one that goes wrong at event ``at`` (from 0), and M about it."""
        event, good = tale.events[at], belief(tale.events[at].verb, at)
        bad = None if self._rng.random() < self._mix.slips else self._other(good)
        slips = {at: self._rng.choice((-10, -2, -1, 1, 2, 10))} if bad is None else {}
        right = steps_of(tale, belief)
        wrong = steps_of(tale, _deviating(belief, at, bad), slips)
        pair = pair_of(
            problem_of(tale, "warm-up"),
            solution_of(right),
            solution_of(wrong),
            self._task,
            self._tokenizer,
            self._end,
            self._prompts,
        )
        return pair, experience_of(at + 1, event, bad=bad, good=good)

    def _other(self, meaning: Meaning) -> Meaning:
        return self._rng.choice([m for m in MEANINGS if m != meaning])

    def _item(self, kind: str, prompt_ids: TokenIds, text: str) -> Item:
        return Item(kind=kind, prompt_ids=prompt_ids, target_ids=self._tokenizer.encode(text) + self._end)


def _obeying(tale: Tale, verb: str, meaning: Meaning) -> Belief:
    """Reads that verb as the note says, wherever it occurs, and every other as it is."""
    return lambda v, i: meaning if v == verb else tale.events[i].meaning


def _deviating(belief: Belief, at: int, bad: Meaning | None) -> Belief:
    return lambda verb, i: bad if i == at and bad is not None else belief(verb, i)
