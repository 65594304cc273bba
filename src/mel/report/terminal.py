"""Tables for a terminal: results per arm, experiences one by one, and the progress of an evaluation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich import box
from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from mel.evaluate.metrics import Interval
from mel.evaluate.result import EvaluationResult
from mel.evaluate.runner import Progress
from mel.record import RunDirectory, StoredExperience
from mel.report.arms import read_arms
from mel.report.comparison import Cell, compare

PAGE_SIZE = 20


def results_table(runs: Sequence[str | Path]) -> Table:
    """Rows are arms; Pass@1, Avg@k and Pass@k per evaluation in percent, training tokens and seconds.

    Raises:
        ValueError: a path that is no run directory.
    """
    comparison = compare(read_arms(runs))
    names = list(dict.fromkeys(c.evaluation for c in comparison.columns))
    title = "percent; + and - against the first arm, paired by problem, [95 % interval]"
    table = Table(title=title, title_style="dim", box=box.SIMPLE_HEAD)
    table.add_column("arm", style="bold", min_width=11)
    for column in comparison.columns:
        heading = column.label if len(names) == 1 else f"{escape(column.evaluation)}\n{column.label}"
        table.add_column(heading, justify="right")
    table.add_column("tokens", justify="right")
    table.add_column("seconds", justify="right")
    for row in comparison.rows:
        seeds = f"\n{len(row.seeds)} seeds" if len(row.seeds) > 1 else ""
        cells = [_cell(cell) for cell in row.cells]
        tokens = "-" if row.tokens is None else f"{row.tokens:,.0f}"
        seconds = "-" if row.seconds is None else f"{row.seconds:,.0f}"
        table.add_row(Text(row.arm + seeds), *cells, tokens, seconds)
    return table


def evaluation_table(results: Sequence[EvaluationResult]) -> Table:
    """One row per evaluation: what `mel eval` shows."""
    ks = sorted({r.settings.k for r in results if r.settings.k})
    k = str(ks[0]) if len(ks) == 1 else "k"
    table = Table(title="percent [95 % interval over problems]", title_style="dim")
    table.add_column("evaluation", style="bold")
    for heading in ("problems", "Pass@1", f"Avg@{k}", f"Pass@{k}", "tokens", "seconds", "truncated"):
        table.add_column(heading, justify="right")
    for r in results:
        scores = [_percent(i) for i in (r.pass_at_1, r.average_at_k, r.pass_at_k)]
        table.add_row(Text(r.name), f"{r.problems:,}", *scores, f"{r.tokens:,}", f"{r.seconds:.1f}", f"{r.truncated:,}")
    return table


def experiences_table(
    run: str | Path,
    *,
    kept: bool | None = None,
    reason: str | None = None,
    search: str | None = None,
    step: int | None = None,
    page: int = 1,
) -> Table:
    """One page of a run's experiences, newest first; its caption says how many there are.

    Raises:
        ValueError: no run directory, or a page that does not exist.
    """
    with RunDirectory.open(run) as directory:
        found = directory.experiences.list(
            kept=kept, reason=reason, search=search, step=step, newest_first=True,
            offset=(page - 1) * PAGE_SIZE, limit=PAGE_SIZE,
        )  # fmt: skip
    pages = max(1, -(-found.total // PAGE_SIZE))
    if not 1 <= page <= pages:
        raise ValueError(f"page: expected 1 to {pages} ({found.total} experiences match); got {page}")
    table = Table(
        expand=True, caption=f"page {page} of {pages}, {found.total:,} experiences; `mel experiences show RUN NUMBER`"
    )
    for heading, width in (("number", 6), ("step", 4)):
        table.add_column(heading, justify="right", min_width=width, no_wrap=True)
    table.add_column("verdict", min_width=13, no_wrap=True)
    table.add_column("s*", min_width=2, no_wrap=True)
    table.add_column("heuristic", ratio=3, no_wrap=True, overflow="ellipsis")
    table.add_column("problem", ratio=2, no_wrap=True, overflow="ellipsis")
    for item in found:
        table.add_row(
            str(item.id),
            str(item.step),
            _verdict(item),
            _star(item),
            Text(_line(item.heuristic or "")),
            Text(_line(item.problem)),
        )
    return table


def experience_panel(run: str | Path, number: int) -> Panel:
    """One experience with both solutions, the bifurcation marked, and its replays.

    Raises:
        ValueError: no run directory, or no experience of that number.
    """
    with RunDirectory.open(run) as directory:
        item = directory.experiences.show(number)
    parts: list[Text] = [
        Text.assemble(("problem   ", "dim"), _plain(item.problem), ("   answer ", "dim"), _plain(item.answer)),
        Text(),
        Text.assemble(("right     ", "green"), _solution(item.right, item.right_steps, None)),
        Text.assemble(("wrong     ", "red"), _solution(item.wrong, item.wrong_steps, item.bifurcation)),
        Text(),
    ]
    if item.is_parsed:
        parts += [
            Text.assemble(("s*        ", "dim"), _star(item), "  ", Text(_line(_step(item)), style="yellow")),
            Text.assemble(("critique  ", "dim"), _plain(item.critique or "")),
            Text.assemble(("heuristic ", "bold"), Text(_plain(item.heuristic or ""), style="bold")),
        ]
    else:
        parts.append(Text.assemble((f"not parsed ({item.failure}): ", "yellow"), _plain(item.raw)))
    for number_, attempt in enumerate(item.attempts, 1):
        mark = ("right", "green") if attempt.is_correct else (attempt.reason, "red")
        parts += [Text(), Text.assemble((f"replay {number_}  ", "dim"), mark, "  ", _plain(attempt.response))]
    title = Text.assemble(f"experience {item.id}, step {item.step}: ", _verdict(item))
    return Panel(Group(*parts), title=title, title_align="left", border_style="green" if item.is_kept else "yellow")


@contextmanager
def evaluation_progress(console: Console, label: str) -> Iterator[Callable[[Progress], None]]:
    """What `evaluate(progress=...)` calls: a bar with rate and time left, or plain lines when not a terminal."""
    if not console.is_terminal:
        yield lambda at: console.print(
            f"{label}: {at.done}/{at.total} responses{_rate(at)}", highlight=False, markup=False
        )
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Bars(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as bars:
        bar = bars.add_task(escape(label), total=None, rate="")
        yield lambda at: bars.update(bar, completed=at.done, total=at.total, rate=f"{at.tokens_per_s:,.0f} tokens/s")


def _rate(at: Progress) -> str:
    left = at.time_left_s
    return "" if left is None else f", {at.tokens_per_s:,.0f} tokens/s, {left:.0f} s left"


def _cell(cell: Cell) -> Text:
    text = Text(_percent(cell.score))
    if cell.difference is not None:
        d = cell.difference
        style = "green" if d.low > 0 else "red" if d.high < 0 else "dim"
        text.append(f"\n{100 * d.value:+.1f} [{100 * d.low:+.1f}, {100 * d.high:+.1f}]", style=style)
    return text


def _percent(interval: Interval | None) -> str:
    return "-" if interval is None else f"{100 * interval.value:.1f}"


def _verdict(item: StoredExperience) -> Text:
    return Text(item.reason.replace("_", " "), style="green" if item.is_kept else "yellow")


def _star(item: StoredExperience) -> Text:
    if item.bifurcation is None:
        return Text("-", style="dim")
    if item.first_error is None:
        return Text(str(item.bifurcation))
    is_hit = item.bifurcation == item.first_error
    return Text(
        f"{item.bifurcation}" if is_hit else f"{item.bifurcation} (true {item.first_error})",
        style="" if is_hit else "red",
    )


def _step(item: StoredExperience) -> str:
    if item.bifurcation is None or item.bifurcation > len(item.wrong_steps):
        return ""
    return item.wrong[slice(*item.wrong_steps[item.bifurcation - 1])]


def _solution(text: str, steps: Sequence[tuple[int, int]], bifurcation: int | None) -> Text:
    solution = Text(_plain(text))
    if bifurcation is not None and bifurcation <= len(steps):
        solution.stylize("reverse yellow", *steps[bifurcation - 1])
    return solution


def _line(text: str) -> str:
    return " ".join(_plain(text).split())


def _plain(text: str) -> str:
    """The text, as long as before, with no control character that a terminal would obey."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "\N{REPLACEMENT CHARACTER}", text)
