"""What a policy can do with tales: solve, criticize, find the wrong step in three ways, and use a note.

The task knows the truth, so nothing here is judged by a model: the pairs are the policy's own, and the effect of a note
is the difference between prompts that differ in the note alone. Prompts are built by the functions of the method.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

import torch

from mel import prompts
from mel.miniature.tales_corpus import experience_of
from mel.objective.score import token_logprobs
from mel.ports import Generator
from mel.prompts.chat import ChatTokenizer
from mel.stages.experience import construction_turn, parse_experience
from mel.stages.localize import first_difference, least_likely
from mel.stages.pairs import select_pairs
from mel.stages.replay import replay_prefix, replay_prompt, strangers
from mel.tasks.tales import Tales
from mel.tasks.tales.story import Event
from mel.tasks.tales.verbs import MEANING_OF, MEANINGS, Meaning
from mel.types import Candidate, Completion, Group, MetaExperience, Pair, Problem, Rollout, Sampling, TokenIds

STEP_TOKENS = 32
"""Room for one step of a solution; a critique takes as much as three of them."""

ATTEMPTS = 4
"""Replays of each pair under each note."""

Facts = dict[str, float | None]


class Sampler:
    """Prompts, sampling and verdicts for one policy and one task."""

    def __init__(self, generator: Generator, model: Any, tokenizer: Any, task: Tales) -> None:
        self.generator, self.model, self.task = generator, model, task
        self.chat = ChatTokenizer(tokenizer)
        self.prompts = prompts.load(task.prompt_set)

    def turn(self, text: str) -> TokenIds:
        return self.chat.chat([{"role": "user", "content": text}])

    def sample(self, asked: Sequence[TokenIds], temperature: float, *, room: int) -> list[Completion]:
        return self.generator.generate(asked, Sampling(max_tokens=room, temperature=temperature))

    @property
    def room(self) -> int:
        """Tokens that a solution may take."""
        return (self.task.length + 1) * STEP_TOKENS


def probe_tales(at: Sampler, *, count: int, samples: int, seed: int) -> Facts:
    """The facts of a policy on the first ``count`` test problems; None where there was nothing to measure."""
    problems = at.task.problems("test", count)
    asked = [at.turn(at.prompts.solve(p.text)) for p in problems]
    greedy = at.task.verify(problems, [c.text for c in at.sample(asked, 0.0, room=at.room)])
    groups = _groups(at, problems, asked, samples)
    pairs = _pairs(at, groups, random.Random(seed))
    rollouts = [r for group in groups for r in group.rollouts]
    return {
        "solved_greedy": _share([v.is_correct for v in greedy]),
        "solved_sampled": _share([r.verdict.is_correct for r in rollouts]),
        "solved_any": _share([g.pass_rate > 0 for g in groups]),
        "groups_mixed": _share([g.is_mixed for g in groups]),
        "no_answer": _share([r.verdict.reason == "no_final_answer" for r in rollouts]),
        "pairs": float(len(pairs)),
        **_criticize(at, pairs),
        **_replay(at, pairs, random.Random(seed)),
        "rule_true_given_step": _share([_states_the_rule(at, m, p) for m, p in _given(at, pairs)]),
    }


def _groups(at: Sampler, problems: Sequence[Problem], asked: Sequence[TokenIds], samples: int) -> list[Group]:
    found = at.sample([ids for ids in asked for _ in range(samples)], 1.0, room=at.room)
    owners = [p for p in problems for _ in range(samples)]
    verdicts = at.task.verify(owners, [c.text for c in found])
    rollouts = [
        Rollout(token_ids=c.token_ids, text=c.text, verdict=v, reward=v.reward, is_truncated=c.is_truncated)
        for c, v in zip(found, verdicts, strict=True)
    ]
    return [
        Group(problem=p, prompt_ids=ids, rollouts=tuple(rollouts[i * samples : (i + 1) * samples]))
        for i, (p, ids) in enumerate(zip(problems, asked, strict=True))
    ]


def _pairs(at: Sampler, groups: Sequence[Group], rng: random.Random) -> list[tuple[Pair, int]]:
    """One pair of each mixed group with the number of its first wrong step, where that is a step of the problem."""
    found = []
    for group in groups:
        for pair in select_pairs(group, at.task.steps, per_group=1, choose="random", rng=rng).pairs:
            error = at.task.first_error(pair.problem, pair.wrong.text)
            if error is not None and error <= min(len(pair.wrong_steps), at.task.length):
                found.append((pair, error))
    return found


def _criticize(at: Sampler, pairs: Sequence[tuple[Pair, int]]) -> Facts:
    asked = [at.turn(construction_turn(pair, at.prompts)) for pair, _ in pairs]
    facts: Facts = {}
    for suffix, temperature in (("", 0.0), ("_sampled", 1.0)):
        completions = at.sample(asked, temperature, room=3 * STEP_TOKENS)
        parsed = [
            parse_experience(c, at.prompts.sections, steps=pair.whole.wrong)
            for c, (pair, _) in zip(completions, pairs, strict=True)
        ]
        own = [(m, pair, error) for m, (pair, error) in zip(parsed, pairs, strict=True)]
        facts |= {
            f"parsed{suffix}": _share([isinstance(m, MetaExperience) for m in parsed]),
            f"located_own{suffix}": _share([isinstance(m, MetaExperience) and m.bifurcation == e for m, _, e in own]),
            f"rule_true{suffix}": _share([_states_the_rule(at, m, p) for m, p, _ in own]),
        }
    facts["located_difference"] = _share([first_difference(pair) == error for pair, error in pairs])
    facts["located_likelihood"] = _share(
        [least_likely(pair, logprobs_of_wrong(at, pair), at.chat) == error for pair, error in pairs]
    )
    facts["located_chance"] = sum(1 / len(p.wrong_steps) for p, _ in pairs) / len(pairs) if pairs else None
    return facts


def _given(at: Sampler, pairs: Sequence[tuple[Pair, int]]) -> list[tuple[MetaExperience | str, Pair]]:
    """What the policy writes greedily where the true step is given to it, as the method gives it."""
    openings = [at.prompts.sections.opening_at(error) for _, error in pairs]
    asked = [
        at.turn(construction_turn(pair, at.prompts)) + at.chat.encode(opening)
        for (pair, _), opening in zip(pairs, openings, strict=True)
    ]
    completions = [
        replace(c, text=opening + c.text)
        for c, opening in zip(at.sample(asked, 0.0, room=3 * STEP_TOKENS), openings, strict=True)
    ]
    return [
        (parse_experience(c, at.prompts.sections, steps=pair.whole.wrong, given=error), pair)
        for c, (pair, error) in zip(completions, pairs, strict=True)
    ]


def _states_the_rule(at: Sampler, experience: MetaExperience | str, pair: Pair) -> bool:
    return isinstance(experience, MetaExperience) and at.task.is_true_rule(pair.problem, experience.heuristic) is True


@torch.no_grad()
def logprobs_of_wrong(at: Sampler, pair: Pair) -> list[float]:
    """Log-probability (nats) of every token of y- given the problem and the tokens before it."""
    start, ids = len(pair.group.prompt_ids), pair.wrong.token_ids
    whole_1T = torch.tensor([[*pair.group.prompt_ids, *ids]], device=at.model.device)
    logits_1TV = at.model(input_ids=whole_1T, use_cache=False).logits[:, start - 1 : -1]
    return token_logprobs(logits_1TV, whole_1T[:, start:])[0].tolist()


def _replay(at: Sampler, pairs: Sequence[tuple[Pair, int]], rng: random.Random) -> Facts:
    """Share of right replays by where they start and which note they have."""
    notes: dict[str, list[MetaExperience | None]] = {"none": [None] * len(pairs)}
    notes["true"], notes["false"] = [], []
    for pair, error in pairs:
        true, false = _notes(pair, error, rng)
        notes["true"].append(true)
        notes["false"].append(false)
    blank = Completion(token_ids=(), text="")
    asked = [
        Candidate(pair=pair, context_ids=(), completion=blank, experience=m)
        for (pair, _), m in zip(pairs, notes["true"], strict=True)
    ]
    notes["other"] = list(strangers(asked))
    facts: Facts = {}
    for start in ("start", "bifurcation"):
        prefixes = [replay_prefix(c, at.chat, start="start" if start == "start" else "bifurcation") for c in asked]
        for name, shown in notes.items():
            facts[f"replay_{start}_{name}"] = _succeed(at, asked, prefixes, shown)
    return facts


def _succeed(
    at: Sampler,
    asked: Sequence[Candidate],
    prefixes: Sequence[TokenIds],
    shown: Sequence[MetaExperience | None],
) -> float | None:
    prompted = []
    for candidate, prefix, note in zip(asked, prefixes, shown, strict=True):
        pair = candidate.pair
        asked_with = pair.group.prompt_ids if note is None else replay_prompt(pair.group, note, at.chat, at.prompts)
        prompted.append(asked_with + prefix)
    found = at.sample([p for p in prompted for _ in range(ATTEMPTS)], 1.0, room=at.room)
    texts = [at.chat.decode(prefixes[i // ATTEMPTS] + c.token_ids) for i, c in enumerate(found)]
    problems = [c.pair.problem for c in asked for _ in range(ATTEMPTS)]
    return _share([v.is_correct for v in at.task.verify(problems, texts)])


def _notes(pair: Pair, error: int, rng: random.Random) -> tuple[MetaExperience, MetaExperience]:
    """The true experience about the first wrong step, and one that gives its verb a wrong meaning."""
    verbs = pair.problem.metadata["verbs"]
    assert isinstance(verbs, list)
    verb = verbs[error - 1]
    good = MEANING_OF[verb]
    step = pair.wrong_steps[error - 1]
    line = pair.wrong.text[step.start : step.end].strip()
    event = Event(verb=verb, meaning=good, amount=0, phrase=_phrase(line))
    bad: Meaning = rng.choice([m for m in get_args(Meaning) if m != good])
    said = _said(line)
    true = experience_of(error, event, bad=said if said != good else None, good=good)
    return true, replace(experience_of(error, event, bad=good, good=bad), bifurcation=error)


def _phrase(line: str) -> str:
    return line.partition(": ")[2].rpartition(",")[0] or line


def _said(line: str) -> Meaning:
    """What a step takes its verb to mean, by the sign it reckons with."""
    reckoned = line.rpartition(",")[2]
    return MEANINGS[0] if "+" in reckoned else MEANINGS[1] if " - " in reckoned else MEANINGS[2]


def _share(claims: Sequence[bool]) -> float | None:
    return sum(claims) / len(claims) if claims else None


def as_table(found: Mapping[str, Any]) -> str:
    """One line for each figure, with the setting above them."""
    head = ", ".join(f"{name} {found[name]}" for name in ("count", "samples", "length", "verbs", "seed"))
    lines = [f"{found['model']}: {head}; {found['seconds']} s on {found['device']}"]
    for name, value in found["facts"].items():
        lines.append(f"{name:26}" + ("      -" if value is None else f"{value:7.3f}"))
    return "\n".join(lines)
