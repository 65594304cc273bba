"""result.json and result.md: the result of an evaluation for programs and for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mel.evaluate.metrics import Interval
from mel.evaluate.responses import Settings
from mel.evaluate.result import EvaluationResult, ProblemScore, Scores, macro_average

CLEAN = ", not in training"
"""Behind the name of an evaluation: its scores without the problems that the training set contains."""


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


def _pass_at_table(rows: Sequence[tuple[str, Scores]]) -> list[str]:
    ks = sorted({k for _, s in rows for k in s.pass_at})
    head = ["| pass@k, unbiased |" + "".join(f" {k} |" for k in ks), "|---" * (len(ks) + 1) + "|"]
    return head + [f"| {name} |" + "".join(f" {percent(s.pass_at.get(k))} |" for k in ks) for name, s in rows]


def _about(r: EvaluationResult) -> str:
    s = r.settings
    if not s.prompts:
        return f"{r.name}: model {s.model}, k {s.k}; responses that were given, how they were made is not known."
    engine = f", engine {s.engine}" if s.engine else ""
    return (
        f"{r.name}: model {s.model}, k {s.k} at temperature {s.temperature:g} and top-p {s.top_p:g}, at most "
        f"{s.max_tokens} tokens, prompts {s.prompts}{engine}; {r.tokens:,} tokens in "
        f"{r.seconds:.1f} s, {r.truncated} truncated."
    )


def _intervals(row: Mapping[str, Any]) -> dict[str, Any]:
    """The intervals of a line of JSON, as `Scores` takes them."""
    found = {name: Interval(**row[name]) if row[name] else None for name in ("pass_at_1", "average_at_k")}
    return {**found, "pass_at": {int(k): Interval(**i) for k, i in row["pass_at"].items()}}
