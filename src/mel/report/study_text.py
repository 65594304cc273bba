"""The results of a study as Markdown for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence

from mel.evaluate.scores import Interval
from mel.report.comparison import Cell, Column, ResultRow
from mel.report.plain import as_json, rows_of
from mel.report.study import ArmSummary, PointResults, Results

SCORES = "Percent, mean over seeds and problems; in brackets the difference to the first arm with its 95 % interval."

SHARES = ("retention", "leaks", "localization", "rule truth", "cosine")


def markdown(results: Results) -> str:
    """The study as Markdown: scores at equal steps, then at equal cost, then what is not finished."""
    done = len(results.cells) - len(results.not_finished)
    lines = [f"# Study `{results.name}`", "", *([results.question, ""] if results.question else [])]
    lines += [f"{done} of {len(results.cells)} runs finished, {results.seconds / 60:.0f} minutes of training in all."]
    for point in results.points:
        lines += ["", *([f"## {point.label}", ""] if point.label else []), *_scores(point), "", *_costs(point, results)]
    if results.not_finished:
        lines += ["", "Not finished:", "", *(_unfinished(results))]
    lines += ["", f"Made at {', '.join(results.commits) or 'no commit'} on {results.machine or 'no machine yet'}.", ""]
    lines += [f"* `{arm}`: recipe {sha[:12]}" for arm, sha in sorted(results.recipes.items())]
    return "\n".join(lines) + "\n"


def values(results: Results) -> str:
    """The same values as JSON."""
    points = [
        {
            "point": point.label,
            "suite_of_curves": point.suite,
            "arms": rows_of(point.comparison),
            "costs": point.summaries,
        }
        for point in results.points
    ]
    return as_json(
        {
            "name": results.name,
            "question": results.question,
            "target": results.target,
            "commits": results.commits,
            "machine": results.machine,
            "recipes": results.recipes,
            "seconds": results.seconds,
            "cells": results.cells,
            "points": points,
        }
    )


def _scores(point: PointResults) -> list[str]:
    columns = point.comparison.columns
    names = [_name(column) for column in columns]
    finished = {summary.name: summary for summary in point.summaries}
    lines = [SCORES, "", f"| arm | seeds | {' | '.join(names)} | tokens | minutes |"]
    lines += ["|---|---|" + "---|" * (len(names) + 2)]
    return lines + [_score_row(row, finished.get(row.arm)) for row in point.comparison.rows]


def _name(column: Column) -> str:
    return f"{column.evaluation} {column.label}"


def _score_row(row: ResultRow, summary: ArmSummary | None) -> str:
    seeds = f"{len(summary.seeds)} of {summary.asked}" if summary else "-"
    tokens = "-" if row.tokens is None else f"{row.tokens:,.0f}"
    minutes = "-" if row.seconds is None else f"{row.seconds / 60:.1f}"
    cells = [_cell(cell) for cell in row.cells]
    return f"| {row.arm} | {seeds} | {' | '.join(cells)} | {tokens} | {minutes} |"


def _costs(point: PointResults, results: Results) -> list[str]:
    if not point.suite:
        return []
    reach = f"tokens to {100 * results.target:.0f} %" if results.target else ""
    names = ["at equal tokens", "at equal wall time", "area", *([reach] if reach else []), *SHARES]
    lines = [f"Greedy Pass@1 on {point.suite} along the way: differences at the cost of the cheaper run of each seed; "
             "the area is the mean over the steps; retention and what follows are of the auxiliary."]  # fmt: skip
    lines += ["", f"| arm | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    return lines + [_cost_row(summary, has_target=bool(reach)) for summary in point.summaries]


def _cost_row(summary: ArmSummary, *, has_target: bool) -> str:
    ledger = summary.ledger
    cells = [_points(summary.at_equal_tokens, sign="+"), _points(summary.at_equal_seconds, sign="+")]
    cells += [_points(summary.area)]
    if has_target:
        reached = summary.to_target
        cells += [f"{reached[0]:,.0f} ({reached[1]} of {len(summary.seeds)})" if reached else "not reached"]
    shares = [
        ledger.kept / ledger.replayed if ledger.replayed else None,
        ledger.leaks / ledger.parsed if ledger.parsed else None,
        ledger.localization,
        ledger.rule_truth,
        summary.cosine,
    ]
    cells += ["-" if share is None else f"{share:.2f}" for share in shares]
    return f"| {summary.name} | {' | '.join(cells)} |"


def _unfinished(results: Results) -> Sequence[str]:
    return [f"* {c.name}: {c.state}{f' ({c.message})' if c.message else ''}" for c in results.not_finished]


def _cell(cell: Cell) -> str:
    if cell.score is None:
        return "-"
    text = f"{100 * cell.score.value:.1f}"
    return f"{text} ({_points(cell.difference, sign='+')})" if cell.difference else text


def _points(interval: Interval | None, *, sign: str = "") -> str:
    if interval is None:
        return "-"
    value, low, high = (f"{100 * v:{sign}.1f}" for v in (interval.value, interval.low, interval.high))
    return f"{value} ({low} to {high})" if not sign else f"{value}, {low} to {high}"
