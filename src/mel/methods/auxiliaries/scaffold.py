"""Scaffolding (Scaf-GRPO, arXiv 2510.19807; SAGE, arXiv 2602.03143): hints for problems that no rollout solved.

Hint by hint is tried, the smallest first; the first right attempt takes the place of one failure, conditioned on its
hint. The teacher's hints of Scaf-GRPO are replaced by the policy's own, by a worked solution, by a solved neighbor, or
by what an earlier run learned from problems like this one.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from mel.methods.attempts import Start, attempts
from mel.methods.declaration import AuxiliarySettings, Surroundings
from mel.methods.drive import completed
from mel.methods.needs import Assumptions, Expected, Limits, Longest, Needs
from mel.ports import Auxiliary, Inspectable, Requests
from mel.prompts.ask import ask_about
from mel.requests import Generate
from mel.stages.experience import without_thinking
from mel.stages.guard import states_answer
from mel.stages.join import has_sample, shortest_right, with_replaced
from mel.stages.scaffold import first_lines, first_steps, nearest_solved
from mel.types import Group, MetaExperience, Outcome, Problem, Sampling

Source = Literal["self", "reference", "neighbor", "experience"]
Hints = dict[int, list[str]]
"""Place of a group -> its hints, the smallest first."""

SOLVED_SHARE = 0.3
"""What a plan takes for the share of attempts with a hint that are right."""


class ScaffoldSettings(AuxiliarySettings):
    """Where hints come from, how many levels they have, and how often each is tried."""

    name: ClassVar[str] = "scaffold"
    label: ClassVar[str] = "scaffold"
    prompts: ClassVar[tuple[str, ...]] = ("write_hint", "hinted")
    changes_groups: ClassVar[bool] = True
    rates: ClassVar[Mapping[str, tuple[str, str]]] = {
        "rescue_rate": ("rescued", "all_wrong"),
        "success": ("right", "attempts"),
        "leak_rate": ("leaks", "hints"),
    }

    source: Source = Field(
        default="self",
        description="self: the policy writes hints, from the worked solution if the task has one (SAGE). reference: "
        "the first steps of that solution. neighbor: the batch's most similar problem with a right rollout. "
        "experience: heuristics that an earlier run kept from similar problems.",
    )
    experiences_of: str | None = Field(
        default=None, min_length=1, description="With experience: the directory of that run."
    )
    given_in: Literal["prompt", "answer"] = Field(
        default="prompt", description="The hint stands in the prompt (papers), or is the beginning of the answer."
    )
    levels: int = Field(default=3, ge=1, description="Hints per problem, each with more in it than the one before.")
    attempts: int = Field(default=2, ge=1, description="Attempts per level, until one is right.")
    after: int = Field(default=0, ge=0, description="Optimizer steps without hints (Scaf-GRPO: the first 15 percent).")
    hint_max_tokens: int = Field(
        default=256, ge=1, description="Limit of the hints that the policy writes, and of those from experiences."
    )

    @model_validator(mode="after")
    def _names_a_run(self) -> Self:
        if (self.source == "experience") != (self.experiences_of is not None):
            raise ValueError(
                "expected source: experience together with experiences_of: <directory of a finished run>, got "
                f"source {self.source!r} and experiences_of {self.experiences_of!r}"
            )
        return self

    @model_validator(mode="after")
    def _answers_its_own_problem(self) -> Self:
        if self.source == "neighbor" and self.given_in == "answer":
            raise ValueError(
                "given_in 'answer' would begin the answer with another problem and its solution, whose final answer "
                "the verifier may read; set given_in: prompt, or another source than neighbor"
            )
        return self

    @property
    def recalls(self) -> str | None:
        return self.experiences_of

    def check(self, *, rollouts: int, problems: Sequence[Problem], inspector: Inspectable | None) -> None:
        if self.source == "reference" and problems and not any(map(_worked_solution, problems)):
            raise ValueError(
                "scaffold.source: 'reference' takes hints from the worked solutions of the problems (metadata "
                "`solution`), and no problem of this task has one; use self or neighbor"
            )

    def build(self, at: Surroundings) -> Auxiliary:
        if self.recalls and at.recall is None:
            raise ValueError("scaffold.source: 'experience' needs surroundings with `recall`, and there is none")
        return Scaffold(self, at)

    def needs(self, limits: Limits) -> Needs:
        is_bounded = self.source in ("self", "experience")
        hint = self.hint_max_tokens if is_bounded else limits.prompt + limits.completion
        asked, most = limits.prompt + limits.instruction + hint, limits.completion
        attempt, row = (
            Longest(phase=name, prompt=asked, completion=most, knob="settings.levels", per_group=many)
            for name, many in (("attempt", self.attempts), ("row", 1))
        )
        write = Longest(
            phase="write_hint",
            prompt=limits.prompt + limits.instruction + limits.completion,
            completion=self.hint_max_tokens,
            knob="settings.hint_max_tokens",
        )
        return Needs(phases=(write, attempt) if self.source == "self" else (attempt,), row=row)

    def expected(self, at: Assumptions) -> Expected:
        stuck = (1 - at.mixed_share) / 2
        written = {"write_hint": stuck} if self.source == "self" else {}
        miss = (1 - SOLVED_SHARE) ** self.attempts
        tried = stuck * self.attempts * sum(miss**level for level in range(self.levels))
        rescued = stuck * (1 - miss**self.levels)
        hint = float(self.hint_max_tokens)
        return Expected(
            generated={"attempt": tried * at.solution_tokens, **{p: n * hint for p, n in written.items()}},
            sequences={"attempt": tried, **written},
            read=sum(written.values()) * at.prompt_tokens + tried * (at.prompt_tokens + hint),
            rows=rescued,
            row_tokens=rescued * at.solution_tokens,
            row_context=rescued * (at.prompt_tokens + hint),
        )


class Scaffold:
    """Puts the first right hinted attempt in the place of one failure of an all-wrong group."""

    name = ScaffoldSettings.name

    def __init__(self, settings: ScaffoldSettings, surroundings: Surroundings) -> None:
        self.settings = settings
        self._at = surroundings

    def learn(self, groups: Sequence[Group], *, step: int) -> Requests[Outcome]:
        """The groups, of the all-wrong ones each with a right rollout if any hint led to one."""
        counts: Counter[str] = Counter(groups=len(groups))
        stuck = [place for place, group in enumerate(groups) if group.rollouts and group.pass_rate == 0]
        counts["all_wrong"] += len(stuck)
        hints = yield from self._hints(groups, stuck if step > self.settings.after else [], counts)
        changed, rescued = list(groups), set[int]()
        for level in range(self.settings.levels):
            starts = [
                self._start(place, groups[place], of_group[level])
                for place, of_group in hints.items()
                if level < len(of_group) and place not in rescued
                for _ in range(self.settings.attempts)
            ]
            rollouts = yield from attempts(starts, self._at.rollout_sampling(), "attempt", self._at)
            counts["attempts"] += len(rollouts)
            for start, rollout in zip(starts, rollouts, strict=True):
                counts["right"] += rollout.verdict.is_correct
                if rollout.verdict.is_correct and has_sample(rollout) and start.place not in rescued:
                    rescued.add(start.place)
                    rng = random.Random(f"{self._at.seed}:{step}:{start.group.problem.id}")
                    failure = rng.randrange(len(start.group.rollouts))
                    changed[start.place] = with_replaced(start.group, failure, rollout)
        counts["rescued"] += len(rescued)
        return Outcome(groups=tuple(changed), counts=dict(counts))

    def _start(self, place: int, group: Group, hint: str) -> Start:
        if self.settings.given_in == "answer":
            return Start(place=place, group=group, given=self._at.tokenizer.encode(hint))
        turn = self._at.prompts.turn("hinted", problem=group.problem.text, hint=hint.strip())
        return Start(place=place, group=group, context_ids=ask_about(group, turn, self._at.tokenizer))

    def _hints(self, groups: Sequence[Group], stuck: Sequence[int], counts: Counter[str]) -> Requests[Hints]:
        """The hints of each group that has any; those that state the answer, and all after them, are left out."""
        if self.settings.source == "self":
            texts = yield from self._written([groups[place] for place in stuck])
        elif self.settings.experiences_of:
            texts = [self._recalled(groups[place], self.settings.experiences_of) for place in stuck]
        else:
            texts = [self._known(groups[place], groups) for place in stuck]
        found: Hints = {}
        for place, levels in zip(stuck, texts, strict=True):
            kept = [hint for hint in levels if not self._leaks(groups[place], hint)]
            counts["hints"] += len(levels)
            counts["leaks"] += len(levels) - len(kept)
            counts["skipped/no_hint"] += not kept
            found |= {place: kept} if kept else {}
        return found

    def _written(self, stuck: Sequence[Group]) -> Requests[list[list[str]]]:
        turns = [
            self._at.prompts.turn("write_hint", problem=group.problem.text, reference=_worked_solution(group.problem))
            for group in stuck
        ]
        prompts = tuple(ask_about(group, turn, self._at.tokenizer) for group, turn in zip(stuck, turns, strict=True))
        sampling = Sampling(max_tokens=self.settings.hint_max_tokens)
        answers = yield from completed(Generate(prompts=prompts, sampling=sampling, phase="write_hint"))
        return [first_lines(without_thinking(answer.text), self.settings.levels) for answer in answers]

    def _recalled(self, group: Group, run: str) -> list[str]:
        """The heuristic that fits best, the best two, and so on, as far as they are not too long."""
        recall = self._at.recall
        found = recall(run, group.problem.text, self.settings.levels) if recall is not None else ()
        hints = ["\n".join(found[: level + 1]) for level in range(len(found))]
        return [hint for hint in hints if len(self._at.tokenizer.encode(hint)) <= self.settings.hint_max_tokens]

    def _known(self, group: Group, groups: Sequence[Group]) -> list[str]:
        if self.settings.source == "reference":
            return first_steps(_worked_solution(group.problem), self._at.steps, self.settings.levels)
        other = nearest_solved(group, groups)
        solution = other and shortest_right(other)
        return [f"{other.problem.text}\n{solution.text}"] if other and solution else []

    def _leaks(self, group: Group, hint: str) -> bool:
        if self.settings.source == "neighbor":
            return False  # whatever it says is said of another problem
        shown = MetaExperience(bifurcation=0, critique="", heuristic="", text=hint)
        return states_answer(shown, group.problem.answer, step_reference=self._at.prompts.sections.step_reference)


def _worked_solution(problem: Problem) -> str:
    """The worked solution that came with the problem; empty if none did."""
    found = problem.metadata.get("solution")
    return found if isinstance(found, str) else ""
