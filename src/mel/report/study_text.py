"""The results of a study as Markdown for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mel.evaluate.scores import Interval
from mel.report.cell_states import unfinished
from mel.report.comparison import Cell, ResultRow
from mel.report.plain import as_json, rows_of
from mel.report.study import ArmSummary, PointResults, Results
from mel.report.tables import PRESENT, recipe_changes
from mel.report.words import commit_word, duration

SHARES = ("retention", "leaks", "localization", "rule truth", "cosine")

SCORES = (
    "Scores in percent, the mean over seeds and problems: Pass@1 is greedy, Avg@k and Pass@k are over k sampled "
    "responses. In parentheses the difference to `{first}` in percentage points and its 95 % bootstrap interval, "
    "paired by seed and problem, both resampled; **bold** where the interval leaves zero out. *Tokens* are those "
    "generated in training, *minutes* those of training, both per run."
)
COSTS = (
    "Greedy Pass@1 on {suite} along the way. *At equal tokens* and *at equal wall time*: the difference to `{first}` "
    "in percentage points, for each seed at the cost of the cheaper of the two runs. *Area*: the mean of the curve "
    "over the steps, in percent.{target} The 95 % intervals are over the seeds alone; few seeds make them too narrow."
)
TARGET = " *Tokens to {target:.0f} %*: what was generated until the curve reached it, the mean of the runs that did."
EXPERIENCES = (
    "Shares from 0 to 1, over all runs of the arm. *Retention*: experiences kept, of those replayed. *Leaks*: of those "
    "parsed, how many state the answer; *localization*: how many name the true first error; *rule truth*: how many of "
    "the rules are true, where the task knows. *Cosine*: between the gradients of policy and auxiliary, the mean over "
    "the steps."
)


def markdown(results: Results) -> str:
    """The study as Markdown: its arms, scores at equal steps and at equal cost, experiences, what is not finished."""
    parts = [[f"# Study `{results.name}`"], [results.question] if results.question else [], _summary(results)]
    parts += [_arms(results)]
    for point in results.points:
        parts += [[f"## {point.label or 'Results'}"], *_point(point, results)]
    parts += [_unfinished(results), _made(results)]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


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
            "command": results.command,
            "target": results.target,
            "commits": results.commits,
            "machine": results.machine,
            "recipes": results.recipes,
            "seconds": results.seconds,
            "cells": results.cells,
            "points": points,
        }
    )


def _summary(results: Results) -> list[str]:
    finished, asked = results.finished, len(results.cells)
    each = f", {duration(results.seconds / finished)} each on average" if finished > 1 else ""
    took = f"; their training took {duration(results.seconds)} in all{each}" if finished else ""
    lines = [f"{finished} of {asked} runs are finished{took}."]
    return lines + ([f"`{results.command}` makes them again."] if results.command else [])


def _arms(results: Results) -> list[str]:
    """What distinguishes the arms."""
    arms = {arm.name: arm for point in reversed(results.points) for arm in reversed(point.arms)}
    in_order = [arms[name] for name in results.order if name in arms]
    if not in_order:
        return []
    lines = [f"* `{in_order[0].name}`: what the others are compared to"]
    for changes in recipe_changes(in_order):
        told = ", ".join(_change(*key) for key in changes.keys)
        lines.append(f"* `{changes.arm}`: as `{changes.like}`, {f'but {told}' if told else 'nothing changed'}")
    return lines


def _change(key: str, value: str, before: str) -> str:
    if PRESENT in (value, before):
        return f"{'with' if value == PRESENT else 'without'} `{key}`"
    return f"`{key}` {'left out' if value == '-' else value}" + ("" if before == "-" else f" instead of {before}")


def _point(point: PointResults, results: Results) -> Iterator[list[str]]:
    """Tables with a line below each that explains it."""
    yield ["### Scores after training"]
    yield _scores(point)
    yield [SCORES.format(first=point.arms[0].name)]
    if point.suite:
        target = TARGET.format(target=100 * results.target) if results.target else ""
        yield ["### At equal cost"]
        yield _costs(point, results.target)
        yield [COSTS.format(first=results.order[0], suite=point.suite, target=target)]
    with_experiences = [s for s in point.summaries if s.ledger.candidates]
    if with_experiences:
        rows = [[s.name, f"{s.ledger.candidates:,}", f"{s.ledger.kept:,}", *_shares(s)] for s in with_experiences]
        yield ["### Experiences"]
        yield _table(["arm", "pairs", "kept", *SHARES], rows)
        yield [EXPERIENCES]


def _scores(point: PointResults) -> list[str]:
    names = [f"{column.evaluation} {column.label}" for column in point.comparison.columns]
    finished = {summary.name: summary for summary in point.summaries}
    rows = [_score_row(row, finished.get(row.arm)) for row in point.comparison.rows]
    return _table(["arm", "seeds", *names, "tokens", "minutes"], rows)


def _score_row(row: ResultRow, summary: ArmSummary | None) -> list[str]:
    seeds = f"{len(summary.seeds)} of {summary.asked}" if summary else "-"
    tokens = "-" if row.tokens is None else f"{row.tokens:,.0f}"
    minutes = "-" if row.seconds is None else f"{row.seconds / 60:.1f}"
    return [row.arm, seeds, *map(_cell, row.cells), tokens, minutes]


def _costs(point: PointResults, target: float | None) -> list[str]:
    names = ["arm", "at equal tokens", "at equal wall time", "area"]
    rows = [
        [s.name, _difference(s.at_equal_tokens), _difference(s.at_equal_seconds), _score(s.area)]
        for s in point.summaries
    ]
    if target:
        names.append(f"tokens to {100 * target:.0f} %")
        for row, s in zip(rows, point.summaries, strict=True):
            missed = "not reached" if s.area else "-"  # without a curve nobody knows
            row.append(f"{s.to_target[0]:,.0f} ({s.to_target[1]} of {len(s.seeds)})" if s.to_target else missed)
    return _table(names, rows)


def _shares(summary: ArmSummary) -> list[str]:
    ledger = summary.ledger
    shares = [
        ledger.kept / ledger.replayed if ledger.replayed else None,
        ledger.leaks / ledger.parsed if ledger.parsed else None,
        ledger.localization,
        ledger.rule_truth,
        summary.cosine,
    ]
    return ["-" if share is None else f"{share:.2f}" for share in shares]


def _unfinished(results: Results) -> list[str]:
    lines = ["## Not finished", ""]
    for of_state in unfinished(results.cells):
        lines.append(f"* {of_state.heading(f'`{results.command}`' if results.command else '')}")
        lines += [f"    * {cell}" for cell in of_state.cells]
    return lines if len(lines) > 2 else []


def _made(results: Results) -> list[str]:
    commits = [f"`{commit_word(commit)}`" for commit in results.commits]
    lines = ["## How it was made", ""]
    lines += [f"* commit {', '.join(commits) or 'unknown'}" + _changed_after(results.commits)]
    lines += [f"* on {results.machine or 'no machine yet'}"]
    hashes = [f"`{name}` {results.recipes[name][:12]}" for name in results.order if name in results.recipes]
    return lines + ([f"* recipes, by SHA-256 of what they resolve to: {', '.join(hashes)}"] if hashes else [])


def _changed_after(commits: Sequence[str]) -> str:
    return " (+: with changes that were not committed)" if any(c.endswith("+") for c in commits) else ""


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The first column to the left, the others to the right."""
    lines = [names, ["---", *["---:"] * (len(names) - 1)], *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _cell(cell: Cell) -> str:
    if cell.score is None:
        return "-"
    text, difference = f"{100 * cell.score.value:.1f}", cell.difference
    if difference is None:
        return text
    return f"{text} ({_difference(difference, mark='**' if difference.low > 0 or difference.high < 0 else '')})"


def _difference(interval: Interval | None, *, mark: str = "") -> str:
    """Points with their interval; the mark stands about the points. One seed alone has no interval."""
    if interval is None:
        return "-"
    value, low, high = (f"{100 * v:+.1f}" for v in (interval.value, interval.low, interval.high))
    return f"{mark}{value}{mark}" + (f", {low} to {high}" if interval.low < interval.high else "")


def _score(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    text = f"{100 * interval.value:.1f}"
    return f"{text} ({100 * interval.low:.1f} to {100 * interval.high:.1f})" if interval.low < interval.high else text
