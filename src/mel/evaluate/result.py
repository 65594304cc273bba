"""The result of an evaluation: scores with intervals, per problem and in all, with and without contained problems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from mel.evaluate.metrics import Interval, average_at_k, bootstrap_macro_mean, pass_at_k
from mel.evaluate.responses import Response, Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class ProblemScore:
    """What became of one problem.

    Args:
        greedy: whether the greedy response is right; None if there is none.
        samples, correct: number of sampled responses, and how many of them are right.
    """

    problem: str
    greedy: bool | None
    samples: int
    correct: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """Scores on some problems, 0 to 1, with 95 % bootstrap intervals over problems.

    Args:
        problems: how many.
        pass_at_1: share of problems whose greedy response is right; None without greedy responses.
        average_at_k: share of right responses among the sampled ones; None without sampled responses.
        pass_at: k -> unbiased pass@k of the sampled responses, for k = 1, 2, 4, ... and their number.
    """

    problems: int
    pass_at_1: Interval | None
    average_at_k: Interval | None
    pass_at: Mapping[int, Interval] = field(default_factory=dict)

    @property
    def pass_at_k(self) -> Interval | None:
        """Pass@k with k the number of samples."""
        return self.pass_at[max(self.pass_at)] if self.pass_at else None


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationResult(Scores):
    """Scores of one model on one set of problems, and what they were made of.

    Args:
        contained: ids of the problems that the training set contains; None: nobody looked.
        clean: scores on the others; None if nobody looked, if none is contained or if all are.
        tokens, seconds: spent on all responses, over all sittings of a resumed evaluation.
        reasons: the verifier's words -> number of responses.
        scores: one per problem, for paired differences.
        environment: versions and the like.
    """

    name: str
    settings: Settings
    tokens: int
    seconds: float
    truncated: int
    reasons: Mapping[str, int]
    scores: tuple[ProblemScore, ...]
    contained: tuple[str, ...] | None = None
    clean: Scores | None = None
    environment: Mapping[str, object] = field(default_factory=dict)

    def greedy_scores(self) -> dict[str, float]:
        """Problem id -> 1 or 0 by the greedy response: Pass@1."""
        return {s.problem: float(s.greedy) for s in self.scores if s.greedy is not None}

    def average_scores(self) -> dict[str, float]:
        """Problem id -> share of right samples: Avg@k."""
        return {s.problem: average_at_k(s.samples, s.correct) for s in self.scores if s.samples}

    def pass_scores(self, k: int | None = None) -> dict[str, float]:
        """Problem id -> unbiased pass@k of the samples; k defaults to the evaluation's own.

        Raises:
            ValueError: a problem has fewer than k samples.
        """
        k = k or self.settings.k
        return {s.problem: pass_at_k(s.samples, s.correct, k) for s in self.scores} if k else {}


def summarize(
    name: str,
    settings: Settings,
    responses: Sequence[Response],
    *,
    contained: Collection[str] | None = None,
    environment: Mapping[str, object] | None = None,
) -> EvaluationResult:
    """Scores of these responses, with and without the problems that the training set contains.

    Args:
        contained: ids of those problems, others among them do no harm; None if nobody looked.

    Raises:
        ValueError: no response, or a problem has fewer samples than `settings.k`.
    """
    if not responses:
        raise ValueError(f"evaluation {name!r}: expected at least one response; got none")
    by_problem = _by_problem(responses)
    scores = _over([by_problem], settings.k)
    found = None if contained is None else tuple(s.problem for s in by_problem if s.problem in contained)
    others = [s for s in by_problem if s.problem not in (found or ())]
    return EvaluationResult(
        name=name,
        settings=settings,
        problems=scores.problems,
        pass_at_1=scores.pass_at_1,
        average_at_k=scores.average_at_k,
        pass_at=scores.pass_at,
        tokens=sum(r.num_tokens for r in responses),
        seconds=sum(r.seconds for r in responses),
        truncated=sum(r.is_truncated for r in responses),
        reasons=dict(Counter(r.reason for r in responses).most_common()),
        scores=tuple(by_problem),
        contained=found,
        clean=_over([others], settings.k) if found and others else None,
        environment=dict(environment or {}),
    )


def macro_average(results: Sequence[EvaluationResult], *, clean: bool = False) -> Scores:
    """Scores averaged over benchmarks, each benchmark weighing the same (the paper's last column).

    A score that one of them lacks has no average; of pass@k there are the k that all have.

    Args:
        clean: without the problems that the training set contains.
    """
    left_out = [frozenset(r.contained or ()) if clean else frozenset() for r in results]
    tables = [[s for s in r.scores if s.problem not in out] for r, out in zip(results, left_out, strict=True)]
    return _over(tables, min((r.settings.k for r in results), default=0))


def _over(benchmarks: Sequence[Sequence[ProblemScore]], k: int) -> Scores:
    """Scores over the problems of each benchmark, averaged over the benchmarks."""

    def mean(score: Callable[[ProblemScore], float]) -> Interval:
        return bootstrap_macro_mean([[score(s) for s in problems] for problems in benchmarks])

    has_greedy = all(s.greedy is not None for problems in benchmarks for s in problems)
    return Scores(
        problems=sum(map(len, benchmarks)),
        pass_at_1=mean(lambda s: float(s.greedy or 0)) if has_greedy else None,
        average_at_k=mean(lambda s: average_at_k(s.samples, s.correct)) if k else None,
        pass_at={n: mean(lambda s, n=n: pass_at_k(s.samples, s.correct, n)) for n in _ks(k)},
    )


def _ks(k: int) -> list[int]:
    """1, 2, 4, ... and k itself; none for no samples."""
    return sorted({*(1 << power for power in range(k.bit_length())), k}) if k else []


def _by_problem(responses: Sequence[Response]) -> list[ProblemScore]:
    by_problem: dict[str, list[Response]] = {}
    for response in responses:
        by_problem.setdefault(response.problem, []).append(response)
    scores = []
    for problem, rows in by_problem.items():
        sampled = [r for r in rows if r.kind == "sampled"]
        greedy = [r.is_correct for r in rows if r.kind == "greedy"]
        scores.append(
            ProblemScore(
                problem=problem,
                greedy=greedy[0] if greedy else None,
                samples=len(sampled),
                correct=sum(r.is_correct for r in sampled),
            )
        )
    return scores
