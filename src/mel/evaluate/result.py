"""The result of an evaluation: scores with intervals, per problem and in all, as a value, JSON and Markdown."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mel.evaluate.metrics import Interval, average_at_k, bootstrap_macro_mean, bootstrap_mean, pass_at_k
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
class EvaluationResult:
    """Scores of one model on one set of problems, 0 to 1, with 95 % bootstrap intervals over problems.

    Args:
        pass_at_1: share of problems whose greedy response is right; None without greedy responses.
        average_at_k, pass_at_k: over k sampled responses per problem; None without sampled responses.
        tokens, seconds: spent on all responses, over all sittings of a resumed evaluation.
        reasons: the verifier's words -> number of responses.
        scores: one per problem, for paired differences.
        environment: engine, versions, seeds, as the caller gave them.
    """

    name: str
    settings: Settings
    problems: int
    pass_at_1: Interval | None
    average_at_k: Interval | None
    pass_at_k: Interval | None
    tokens: int
    seconds: float
    truncated: int
    reasons: Mapping[str, int]
    scores: tuple[ProblemScore, ...]
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
    only: Collection[str] | None = None,
    environment: Mapping[str, object] | None = None,
) -> EvaluationResult:
    """Scores of these responses.

    Args:
        only: ids of the problems to count, such as those without overlap with the training set; None for all.

    Raises:
        ValueError: no response is left, or a problem has fewer samples than `settings.k`.
    """
    used = [r for r in responses if only is None or r.problem in only]
    if not used:
        raise ValueError(f"evaluation {name!r}: expected at least one response; got none")
    scores = _scores(used)
    k = settings.k
    has_greedy = all(s.greedy is not None for s in scores)
    return EvaluationResult(
        name=name,
        settings=settings,
        problems=len(scores),
        pass_at_1=bootstrap_mean([float(s.greedy or 0) for s in scores]) if has_greedy else None,
        average_at_k=bootstrap_mean([average_at_k(s.samples, s.correct) for s in scores]) if k else None,
        pass_at_k=bootstrap_mean([pass_at_k(s.samples, s.correct, k) for s in scores]) if k else None,
        tokens=sum(r.num_tokens for r in used),
        seconds=sum(r.seconds for r in used),
        truncated=sum(r.is_truncated for r in used),
        reasons=dict(Counter(r.reason for r in used).most_common()),
        scores=tuple(scores),
        environment=dict(environment or {}),
    )


def macro_average(results: Sequence[EvaluationResult]) -> dict[str, Interval | None]:
    """Pass@1, Avg@k and Pass@k averaged over benchmarks, each benchmark weighing the same (the paper's last column)."""
    tables = {
        "pass_at_1": [list(r.greedy_scores().values()) for r in results],
        "average_at_k": [list(r.average_scores().values()) for r in results],
        "pass_at_k": [list(r.pass_scores().values()) for r in results],
    }
    return {name: bootstrap_macro_mean(rows) if rows and all(rows) else None for name, rows in tables.items()}


def write_result(result: EvaluationResult, directory: Path) -> None:
    """Write `result.json` and `result.md` into the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(result), indent=1, ensure_ascii=False, default=str) + "\n"
    (directory / "result.json").write_text(text, encoding="utf-8")
    (directory / "result.md").write_text(markdown([result]), encoding="utf-8")


def read_result(directory: Path) -> EvaluationResult:
    """The result in that directory.

    Raises:
        ValueError: there is none yet, or it is damaged.
    """
    path = directory / "result.json"
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
        intervals = {n: Interval(**row[n]) if row[n] else None for n in ("pass_at_1", "average_at_k", "pass_at_k")}
        scores = tuple(ProblemScore(**s) for s in row["scores"])
        return EvaluationResult(**{**row, **intervals, "scores": scores, "settings": Settings(**row["settings"])})
    except FileNotFoundError as error:
        raise ValueError(
            f"{path}: expected the result of an evaluation; it was not finished. Run it again to go on"
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: expected the result of an evaluation; it cannot be read ({error!r})") from error


def markdown(results: Sequence[EvaluationResult]) -> str:
    """A table with one row per result, in percent, and the settings under it."""
    ks = {r.settings.k for r in results}
    k = str(ks.pop()) if len(ks) == 1 else "k"
    lines = [
        f"| evaluation | problems | Pass@1 | Avg@{k} | Pass@{k} | tokens | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in results:
        cells = [percent(r.pass_at_1), percent(r.average_at_k), percent(r.pass_at_k)]
        lines.append(f"| {r.name} | {r.problems:,} | {' | '.join(cells)} | {r.tokens:,} | {r.seconds:.1f} |")
    lines += ["", "Percent with 95 % bootstrap intervals over problems. Pass@1 is greedy."]
    for r in results:
        s = r.settings
        lines.append(
            f"{r.name}: model {s.model}, k {s.k} at temperature {s.temperature:g} and top-p {s.top_p:g}, at most "
            f"{s.max_tokens} tokens, prompts {s.prompts}, {r.truncated} truncated."
        )
    return "\n".join(lines) + "\n"


def percent(interval: Interval | None) -> str:
    """`61.1 [55.1, 67.2]`, or a dash."""
    if interval is None:
        return "-"
    return f"{100 * interval.value:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _scores(responses: Sequence[Response]) -> list[ProblemScore]:
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
