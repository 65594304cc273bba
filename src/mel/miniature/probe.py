"""What a policy of the miniature can do before training: solving, criticizing, and whether hints cause anything.

The world knows the truth, so nothing here is judged by a model: the pairs are the policy's own, and a hint's
effect is the difference between prompts that differ in the hint alone.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from mel import prompts
from mel.miniature.corpus import experience_text
from mel.ports import Generator, Tokenizer
from mel.prompts.ask import PlainAsk
from mel.tasks.small_world import SmallWorldTask
from mel.types import Completion, Problem, Sampling, TokenIds

_LOCATED = re.compile(r"(?<!\S)at (\d+)\) \w+ not \w+ (rule \w+ means \w+)\s*$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """The base policy in numbers, all shares from 0 to 1 except ``pairs``.

    Args:
        pass1, avg8, pass8: solving, greedy and with 8 samples at temperature 1.
        malformed: share of the sampled solutions that are not well formed.
        known_right, misconceived_right: share of such concepts that greedy solutions read right.
        misconceived_sampled: the same for sampled solutions: what there is to reinforce.
        pairs: problems with a right and a wrong sample; the facts below are about one pair of each.
        valid, located, rule_true: greedy experiences that parse, name the true first error, state a true rule.
        located_sampled, rule_true_sampled: the same at temperature 1.
        replay_none, replay_true, replay_false: success of a new attempt with no note, with the true note about
            the first error, and with a false one.
        bifurcation_none, bifurcation_true: success of continuing the wrong solution from just before its first
            error, without and with the true note.
    """

    pass1: float
    avg8: float
    pass8: float
    malformed: float
    known_right: float
    misconceived_right: float
    misconceived_sampled: float
    pairs: int
    valid: float
    located: float
    rule_true: float
    located_sampled: float
    rule_true_sampled: float
    replay_none: float
    replay_true: float
    replay_false: float
    bifurcation_none: float
    bifurcation_true: float

    def table(self) -> str:
        """One ``name value`` line for each fact."""
        return "\n".join(f"{name:22}{value:7.3f}" for name, value in asdict(self).items())


@dataclass(frozen=True, kw_only=True, slots=True)
class _OwnPair:
    problem: Problem
    right: str
    wrong: Completion
    error: int
    """Number of the wrong solution's first wrong step."""


def probe(
    generator: Generator,
    tokenizer: Tokenizer,
    task: SmallWorldTask,
    *,
    count: int = 200,
    samples: int = 8,
    seed: int = 7,
) -> Facts:
    """The facts of the policy behind ``generator``, on the first ``count`` test problems of ``task``."""
    bench = _Bench(generator, tokenizer, task)
    problems = task.problems("test", count)
    turns = [bench.solve(p) for p in problems]
    greedy = bench.sample(turns, 0.0)
    sampled = bench.sample([t for t in turns for _ in range(samples)], 1.0)
    owners = [p for p in problems for _ in range(samples)]
    verdicts = task.verify(owners, [c.text for c in sampled])
    groups = [range(i * samples, (i + 1) * samples) for i in range(len(problems))]
    pairs = _own_pairs(task, groups, owners, sampled, random.Random(seed))
    return Facts(
        pass1=_share([v.is_correct for v in task.verify(problems, [c.text for c in greedy])]),
        avg8=_share([v.is_correct for v in verdicts]),
        pass8=_share([any(verdicts[i].is_correct for i in group) for group in groups]),
        malformed=_share([v.reason not in ("right", "wrong") for v in verdicts]),
        known_right=_reading(task, greedy, is_misconceived=False),
        misconceived_right=_reading(task, greedy, is_misconceived=True),
        misconceived_sampled=_reading(task, sampled, is_misconceived=True),
        pairs=len(pairs),
        **_criticize(bench, pairs),
        **_hint(bench, pairs, random.Random(seed)),
    )


class _Bench:
    """Prompts, sampling and verdicts for one policy and one task."""

    def __init__(self, generator: Generator, tokenizer: Tokenizer, task: SmallWorldTask) -> None:
        self.generator, self.tokenizer, self.task = generator, tokenizer, task
        self.prompts = prompts.load(task.prompt_set)
        self.ask = PlainAsk(prompts=self.prompts)

    def chat(self, turn: str) -> TokenIds:
        return self.tokenizer.chat([{"role": "user", "content": turn}])

    def solve(self, problem: Problem) -> TokenIds:
        return self.tokenizer.chat(self.ask(problem))

    def hinted(self, problem: Problem, note: str) -> TokenIds:
        return self.chat(self.prompts.replay(problem.text, note))

    def steps(self, solution: str) -> str:
        return " ".join(solution[s.start : s.end] for s in self.task.steps(solution))

    def sample(self, turns: Sequence[TokenIds], temperature: float) -> list[Completion]:
        # Enough for a solution with a recalled rule and its answer, and for a walk over all steps with an experience.
        limit = self.task.kind.step_words * self.task.length + 16
        return self.generator.generate(turns, Sampling(max_tokens=limit, temperature=temperature))

    def success(self, pairs: Sequence[_OwnPair], turns: Sequence[TokenIds], prefixes: Sequence[TokenIds]) -> float:
        """Share of right attempts, two per pair, at the prompts ``turns`` continued from ``prefixes``."""
        starts = [(*t, *p) for t, p in zip(turns, prefixes, strict=True)] * 2
        found = self.sample(starts, 1.0)
        kept = list(prefixes) * 2
        texts = [self.tokenizer.decode((*p, *c.token_ids)) for p, c in zip(kept, found, strict=True)]
        return _share([v.is_correct for v in self.task.verify([p.problem for p in pairs] * 2, texts)])


def _own_pairs(
    task: SmallWorldTask,
    groups: Sequence[range],
    owners: Sequence[Problem],
    sampled: Sequence[Completion],
    rng: random.Random,
) -> list[_OwnPair]:
    pairs = []
    for group in groups:
        verdicts = task.verify([owners[i] for i in group], [sampled[i].text for i in group])
        right = [i for i, v in zip(group, verdicts, strict=True) if v.is_correct]
        wrong = [
            (i, error)
            for i, v in zip(group, verdicts, strict=True)
            if v.reason == "wrong" and (error := task.first_error(owners[i], sampled[i].text)) is not None
        ]
        if right and wrong:
            i, (j, error) = rng.choice(right), rng.choice(wrong)
            pairs.append(_OwnPair(problem=owners[i], right=sampled[i].text, wrong=sampled[j], error=error))
    return pairs


def _criticize(bench: _Bench, pairs: Sequence[_OwnPair]) -> dict[str, float]:
    facts: dict[str, float] = {}
    turns = [
        bench.chat(bench.prompts.construct(p.problem.text, bench.steps(p.right), bench.steps(p.wrong.text)))
        for p in pairs
    ]
    for suffix, temperature in (("", 0.0), ("_sampled", 1.0)):
        texts = [c.text for c in bench.sample(turns, temperature)]
        parsed = [_LOCATED.search(t) for t in texts]
        if not suffix:
            facts["valid"] = _share([m is not None for m in parsed])
        facts[f"located{suffix}"] = _share(
            [m is not None and int(m[1]) == p.error for m, p in zip(parsed, pairs, strict=True)]
        )
        facts[f"rule_true{suffix}"] = _share(
            [
                m is not None and bench.task.is_true_rule(p.problem, m[2]) is True
                for m, p in zip(parsed, pairs, strict=True)
            ]
        )
    return facts


def _hint(bench: _Bench, pairs: Sequence[_OwnPair], rng: random.Random) -> dict[str, float]:
    none = [bench.solve(p.problem) for p in pairs]
    notes = [_notes(bench.task, p, rng) for p in pairs]
    true = [bench.hinted(p.problem, note) for p, (note, _) in zip(pairs, notes, strict=True)]
    false = [bench.hinted(p.problem, note) for p, (_, note) in zip(pairs, notes, strict=True)]
    empty: list[TokenIds] = [()] * len(pairs)
    prefixes = [_before_error(bench, p) for p in pairs]
    return {
        "replay_none": bench.success(pairs, none, empty),
        "replay_true": bench.success(pairs, true, empty),
        "replay_false": bench.success(pairs, false, empty),
        "bifurcation_none": bench.success(pairs, none, prefixes),
        "bifurcation_true": bench.success(pairs, true, prefixes),
    }


def _notes(task: SmallWorldTask, pair: _OwnPair, rng: random.Random) -> tuple[str, str]:
    """The true experience about the pair's first error, and the same turned round."""
    concepts = task.kind.parse(pair.problem.text).concepts
    step = min(pair.error, len(concepts)) - 1
    concept = concepts[step]
    good = task.kind.truth[concept]
    readings = _readings(task, pair.wrong.text)
    bad = readings[step][1] if step < len(readings) else good
    if bad == good or bad not in task.kind.meanings:
        bad = rng.choice([m for m in task.kind.meanings if m != good])
    return experience_text(step, concept, bad=bad, good=good), experience_text(step, concept, bad=good, good=bad)


def _before_error(bench: _Bench, pair: _OwnPair) -> TokenIds:
    steps = bench.task.steps(pair.wrong.text)
    start = steps[min(pair.error, len(steps)) - 1].start
    return pair.wrong.token_ids[: bench.tokenizer.token_index(pair.wrong.token_ids, start)]


def _reading(task: SmallWorldTask, solutions: Sequence[Completion], *, is_misconceived: bool) -> float:
    truth = task.kind.truth
    read = [r for solution in solutions for r in _readings(task, solution.text) if r[0] in truth]
    return _share([truth[c] == m for c, m in read if (c in task.misconceptions) == is_misconceived])


def _readings(task: SmallWorldTask, solution: str) -> list[tuple[str, str]]:
    """(concept, meaning) of each step."""
    return [(m["concept"], m["meaning"]) for m in task.kind.step.finditer(solution)]


def _share(claims: Sequence[bool]) -> float:
    return sum(claims) / len(claims) if claims else 0.0
