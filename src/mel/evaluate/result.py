"""The result of an evaluation: its scores with intervals, and the files result.json and result.md."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mel.evaluate.responses import Response, Settings
from mel.evaluate.scores import Interval, average_at_k, bootstrap_macro_mean, pass_at_k
from mel.record.metrics_log import replace_file

CLEAN = ", not in training"
"""Behind the name of an evaluation: its scores without the problems that the training set contains."""


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
        contained: ids of the problems that the training set contains; None: not checked.
        clean: scores on the others; None if that was not checked, if none is contained or if all are.
        tokens, seconds: spent on all responses, over all sessions of a resumed evaluation.
        reasons: the verifier's words -> number of responses.
        scores: one per problem, for paired differences.
        environment: versions and the like.
        left_out: records of the benchmark that are no problems, by reason: `no_answer`, `no_question`, ...
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
    left_out: Mapping[str, int] = field(default_factory=dict)

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
    left_out: Mapping[str, int] | None = None,
) -> EvaluationResult:
    """Scores of these responses, with and without the problems that the training set contains.

    Args:
        contained: ids of those problems; ids of other problems are ignored. None if that was not checked.

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
        left_out=dict(left_out or {}),
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


def write_result(result: EvaluationResult, directory: Path) -> None:
    """Write `result.json` and `result.md` into the directory; whoever reads meanwhile meets whole files."""
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(result), indent=1, ensure_ascii=False, default=str) + "\n"
    replace_file(directory / "result.md", markdown([result]), doing="writing the table of an evaluation")
    replace_file(directory / "result.json", text, doing="writing the result of an evaluation")


def read_result(directory: Path) -> EvaluationResult:
    """The result in that directory.

    Raises:
        ValueError: there is none yet, or it is damaged.
    """
    path = directory / "result.json"
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
        contained, clean = row["contained"], row["clean"]
        return EvaluationResult(
            **{
                **row,
                **_intervals(row),
                "scores": tuple(ProblemScore(**s) for s in row["scores"]),
                "settings": Settings(**row["settings"]),
                "contained": None if contained is None else tuple(contained),
                "clean": None if clean is None else Scores(problems=clean["problems"], **_intervals(clean)),
            }
        )
    except FileNotFoundError as error:
        raise ValueError(
            f"{path}: expected the result of an evaluation; it was not finished. Run it again to go on"
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: expected the result of an evaluation; it cannot be read ({error!r})") from error


def markdown(results: Sequence[EvaluationResult]) -> str:
    """A table with one row per result, in percent, all of pass@k below it, and the settings."""
    table = [f"| evaluation | problems | {' | '.join(headings(results))} |", "|---|---|---|---|---|"]
    rows = lines(results)
    for name, s in rows:
        cells = [percent(s.pass_at_1), percent(s.average_at_k), percent(s.pass_at_k)]
        table.append(f"| {name} | {s.problems:,} | {' | '.join(cells)} |")
    table += ["", "Percent with 95 % bootstrap intervals over problems. Pass@1 is greedy, the others are over samples."]
    if any(len(s.pass_at) > 1 for _, s in rows):
        table += ["", *_pass_at_table(rows)]
    return "\n".join([*table, "", *map(_about, results)]) + "\n"


def headings(results: Sequence[EvaluationResult]) -> tuple[str, str, str]:
    """What the three scores of a table are called: greedy, and the two over samples."""
    ks = {r.settings.k for r in results if r.settings.k}
    k = str(ks.pop()) if len(ks) == 1 else "k"
    return "Pass@1", f"Avg@{k}", f"Pass@{k}" if k != "1" else "Pass@1, sampled"


def percent(interval: Interval | None) -> str:
    """`61.1 [55.1, 67.2]`, or a dash."""
    if interval is None:
        return "-"
    return f"{100 * interval.value:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def lines(results: Sequence[EvaluationResult]) -> list[tuple[str, Scores]]:
    """What a table shows of these results, by name: each, again without contained problems, and the averages."""
    found: list[tuple[str, Scores]] = []
    for result in results:
        found.append((result.name, result))
        if result.clean is not None:
            found.append((f"{result.name}{CLEAN}", result.clean))
    if len(results) > 1:
        found.append(("average", macro_average(results)))
        has_clean = [r for r in results if len(r.contained or ()) < r.problems]
        if any(r.clean is not None for r in results) and len(has_clean) == len(results):
            found.append((f"average{CLEAN}", macro_average(results, clean=True)))
    return found


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


def verdicts_in_words(results: Sequence[EvaluationResult]) -> str:
    """How many responses the verifier judged how: `right 12, wrong 5, no final answer 2`."""
    total: Counter[str] = Counter()
    for result in results:
        total.update(result.reasons)
    return counts_in_words(dict(total.most_common()))


def left_out_in_words(result: EvaluationResult) -> str:
    """Which records of a benchmark are no problems, and why; empty if all are."""
    lacking = sum(result.left_out.values())
    if not lacking:
        return ""
    return f"{lacking:,} records of the source are no problems and do not count ({counts_in_words(result.left_out)})"


def counts_in_words(counts: Mapping[str, int]) -> str:
    """`right 12, no final answer 2`."""
    return ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in counts.items())


def _pass_at_table(rows: Sequence[tuple[str, Scores]]) -> list[str]:
    ks = sorted({k for _, s in rows for k in s.pass_at})
    head = ["| pass@k, unbiased |" + "".join(f" {k} |" for k in ks), "|---" * (len(ks) + 1) + "|"]
    return head + [f"| {name} |" + "".join(f" {percent(s.pass_at.get(k))} |" for k in ks) for name, s in rows]


def _about(r: EvaluationResult) -> str:
    s = r.settings
    verdicts = "".join(f" {said}." for said in (f"Verdicts: {verdicts_in_words([r])}", left_out_in_words(r)) if said)
    if not s.prompts:
        made = "responses that were given, how they were made is not known."
        return f"{r.name}: model {s.model}, k {s.k}; {made}{verdicts}"
    engine = f", engine {s.engine}" if s.engine else ""
    return (
        f"{r.name}: model {s.model}, k {s.k} at temperature {s.temperature:g} and top-p {s.top_p:g}, at most "
        f"{s.max_tokens} tokens, prompts {s.prompts}{engine}; {r.tokens:,} tokens in "
        f"{r.seconds:.1f} s, {r.truncated} truncated.{verdicts}"
    )


def _intervals(row: Mapping[str, Any]) -> dict[str, Any]:
    """The intervals of a line of JSON, as `Scores` takes them."""
    found = {name: Interval(**row[name]) if row[name] else None for name in ("pass_at_1", "average_at_k")}
    return {**found, "pass_at": {int(k): Interval(**i) for k, i in row["pass_at"].items()}}
