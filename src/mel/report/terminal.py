"""For a terminal: evaluations, experiences one by one, and the progress of an evaluation."""

from __future__ import annotations

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

from mel.evaluate.evaluation import Progress
from mel.evaluate.result import CLEAN, EvaluationResult, headings, left_out_in_words, lines, percent, verdicts_in_words
from mel.record import Page, RunDirectory, StoredExperience
from mel.visible import visible, visible_with_spans

PAGE_SIZE = 20


def evaluation_table(results: Sequence[EvaluationResult]) -> Table:
    """What `mel eval` shows: one row per evaluation, again without contained problems, and the averages."""
    tokens, seconds = sum(r.tokens for r in results), sum(r.seconds for r in results)
    responses, truncated = sum(sum(r.reasons.values()) for r in results), sum(r.truncated for r in results)
    made = f", {truncated:,} of them truncated; {tokens:,} tokens, {seconds:,.1f} s" if tokens else ", made elsewhere"
    table = Table(
        title="percent [95 % interval over problems]",
        title_style="dim",
        caption="\n".join([f"{responses:,} responses{made}", verdicts_in_words(results), *_left_out(results)]),
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("evaluation", style="bold")
    for heading in ("problems", *headings(results)):
        table.add_column(heading, justify="right")
    for name, scores in lines(results):
        label = f"  {CLEAN.strip(', ')}" if name.endswith(CLEAN) else name
        cells = [percent(i) for i in (scores.pass_at_1, scores.average_at_k, scores.pass_at_k)]
        table.add_row(Text(label), f"{scores.problems:,}", *cells)
    return table


def experiences_page(
    run: str | Path,
    *,
    kept: bool | None = None,
    reason: str | None = None,
    search: str | None = None,
    step: int | None = None,
    page: int = 1,
) -> Page:
    """One page of a run's experiences, newest first.

    Raises:
        ValueError: no run directory, a reason that no experience of it has, or a page that does not exist.
    """
    with RunDirectory.open(run) as directory:
        found = directory.experiences.list(
            kept=kept, reason=reason, search=search, step=step, newest_first=True,
            offset=(page - 1) * PAGE_SIZE, limit=PAGE_SIZE,
        )  # fmt: skip
        reasons = directory.experiences.ledger().reasons if reason and not found.total else {}
    if reason and reasons and reason not in reasons:
        raise ValueError(f"--reason: expected one of {', '.join(sorted(reasons))}; got {reason!r}")
    pages = _pages(found)
    if not 1 <= page <= pages:
        raise ValueError(f"page: expected 1 to {pages} ({found.total} experiences match); got {page}")
    return found


def experiences_table(found: Page) -> Table:
    """One line per experience of that page; the caption says how many there are."""
    number = f"page {found.offset // PAGE_SIZE + 1} of {_pages(found)}"
    table = Table(expand=True, caption=f"{number}, {found.total:,} experiences; `mel experiences show RUN NUMBER`")
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


def _pages(found: Page) -> int:
    return max(1, -(-found.total // PAGE_SIZE))


def experience(run: str | Path, number: int) -> StoredExperience:
    """The experience of that number.

    Raises:
        ValueError: no run directory, or no experience of that number.
    """
    with RunDirectory.open(run) as directory:
        return directory.experiences.show(number)


def experience_panel(run: str | Path, number: int) -> Panel:
    """One experience with both solutions, the bifurcation marked, and its replays.

    Raises:
        ValueError: no run directory, or no experience of that number.
    """
    item = experience(run, number)
    parts: list[Text] = [
        Text.assemble(("problem   ", "dim"), visible(item.problem), ("   answer ", "dim"), visible(item.answer)),
        Text(),
        Text.assemble(("right     ", "green"), _solution(item.right, item.right_steps, None)),
        Text.assemble(("wrong     ", "red"), _solution(item.wrong, item.wrong_steps, item.bifurcation)),
        Text(),
    ]
    if item.is_parsed:
        parts += [
            Text.assemble(("s*        ", "dim"), _star(item), "  ", Text(_line(_step(item)), style="yellow")),
            Text.assemble(("critique  ", "dim"), visible(item.critique or "")),
            Text.assemble(("heuristic ", "bold"), Text(visible(item.heuristic or ""), style="bold")),
        ]
    else:
        parts.append(Text.assemble((f"not parsed ({item.failure}): ", "yellow"), visible(item.raw)))
    if item.nll_then is not None and item.nll_now is not None:
        said = f"{item.nll_then:.2f} {item.nll_then_of}, {item.nll_now:.2f} {item.nll_now_of} (nats per token)"
        parts.append(Text.assemble(("NLL       ", "dim"), visible(said)))
    for number_, attempt in enumerate(item.attempts, 1):
        mark = ("right", "green") if attempt.is_correct else (attempt.reason, "red")
        parts += [Text(), Text.assemble((f"replay {number_}  ", "dim"), mark, "  ", visible(attempt.response))]
    title = Text.assemble(f"experience {item.id}, step {item.step}: ", _verdict(item))
    return Panel(Group(*parts), title=title, title_align="left", border_style="green" if item.is_kept else "yellow")


def _left_out(results: Sequence[EvaluationResult]) -> list[str]:
    return [f"{r.name}: {said}" for r in results if (said := left_out_in_words(r))]


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


def _verdict(item: StoredExperience) -> Text:
    return Text(item.reason.replace("_", " "), style="green" if item.is_kept else "yellow")


def _star(item: StoredExperience) -> Text:
    if item.bifurcation is None:
        return Text("-", style="dim")
    if item.is_located is False:
        return Text(f"{item.bifurcation} (true {item.first_error})", style="red")
    return Text(str(item.bifurcation))


def _step(item: StoredExperience) -> str:
    if item.bifurcation is None or item.bifurcation > len(item.wrong_steps):
        return ""
    return item.wrong[slice(*item.wrong_steps[item.bifurcation - 1])]


def _solution(text: str, steps: Sequence[tuple[int, int]], bifurcation: int | None) -> Text:
    shown, spans = visible_with_spans(text, steps)
    solution = Text(shown)
    if bifurcation is not None and bifurcation <= len(spans):
        solution.stylize("reverse yellow", *spans[bifurcation - 1])
    return solution


def _line(text: str) -> str:
    return " ".join(visible(text).split())
