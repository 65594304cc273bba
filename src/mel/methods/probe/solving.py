"""Solving: greedy and sampled solutions of each problem, as the groups that a run would roll out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mel.methods.attempts import Start, attempts
from mel.methods.declaration import Surroundings
from mel.methods.drive import completed, verified
from mel.ports import Ask, Requests
from mel.requests import Generate, Verify
from mel.types import Completion, Group, Problem


def solved(
    problems: Sequence[Problem], ask: Ask, at: Surroundings, *, samples: int
) -> Requests[tuple[list[Completion], list[bool], list[Group]]]:
    """Greedy solutions, whether each is right, and a group of sampled ones for each problem."""
    asked = [ask(problem) for problem in problems]
    prompts = tuple(at.tokenizer.chat(turns) for turns in asked)
    sampling = at.rollout_sampling()
    greedy = yield from completed(
        Generate(prompts=prompts, sampling=replace(sampling, temperature=0.0), phase="solve greedily")
    )
    verdicts = yield from verified(Verify(problems=tuple(problems), responses=tuple(c.text for c in greedy)))
    groups = [
        Group(problem=problem, prompt_ids=ids, rollouts=(), opening=tuple(turns[:-1]))
        for problem, ids, turns in zip(problems, prompts, asked, strict=True)
    ]
    starts = [Start(group=group) for group in groups for _ in range(samples)]
    found = yield from attempts(starts, sampling, "solve, sampled", at)
    groups = [replace(group, rollouts=tuple(found[i * samples : (i + 1) * samples])) for i, group in enumerate(groups)]
    return greedy, [v.is_correct for v in verdicts], groups


def solving_scores(groups: Sequence[Group], greedy: Sequence[bool]) -> dict[str, Mapping[str, float]]:
    """Per problem: is it solved, is there something to contrast, and can a verdict be read at all."""
    return {
        "solved_greedy": {g.problem.id: float(is_right) for g, is_right in zip(groups, greedy, strict=True)},
        "solved_sampled": {g.problem.id: g.pass_rate for g in groups},
        "solved_any": {g.problem.id: float(g.pass_rate > 0) for g in groups},
        "groups_mixed": {g.problem.id: float(g.is_mixed) for g in groups},
        "groups_right": {g.problem.id: float(g.pass_rate == 1) for g in groups},
        "groups_wrong": {g.problem.id: float(g.pass_rate == 0) for g in groups},
        "unreadable": {g.problem.id: _unreadable(g) for g in groups},
    }


def _unreadable(group: Group) -> float:
    """Share of solutions that are judged anything else than right or wrong: without an answer, malformed, ..."""
    odd = [r.verdict.reason not in ("right", "wrong") and not r.verdict.is_correct for r in group.rollouts]
    return sum(odd) / len(odd)
