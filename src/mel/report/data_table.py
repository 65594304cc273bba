"""What `mel data check` shows of a training set."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from mel.evaluate.golds import Golds
from mel.evaluate.training_data import Lengths, TrainingData
from mel.visible import visible

_BAR = 30
_SHOWN = 10


def training_data_table(data: TrainingData) -> Group:
    """Three tables: rows and drops, prompt lengths, overlap with every benchmark."""
    return Group(*(_table(title, header, rows) for title, header, rows in _parts(data)))


Part = tuple[str, list[str], list[list[str]]]


def _parts(data: TrainingData) -> list[Part]:
    parts = [(f"{data.task}, split {data.split}", ["", "rows"], _rows(data))]
    if data.lengths is not None:
        parts.append(("Prompt length in tokens", ["up to", "prompts", ""], _lengths(data.lengths)))
    if data.golds:
        header = ["data set", "different golds", "cannot be read", "not equal to themselves in another spelling"]
        counts = [
            [name, *(f"{n:,}" for n in (g.different, len(g.unreadable), len(g.unequal)))]
            for name, g in data.golds.items()
        ]
        parts.append(("Golds that the verifier cannot use", header, counts))
    if bad := [row for golds in data.golds.values() for row in _bad_golds(golds)]:
        parts.append((f"The first of them, at most {_SHOWN} of a kind", ["problem", "gold", "it"], bad))
    if data.references:
        header = ["data set", "problems", "come without one", "judged", "not right"]
        counts = [
            [name, *(f"{n:,}" for n in (r.problems, r.without, r.judged, len(r.failed)))]
            for name, r in data.references.items()
        ]
        parts.append(("The problems' own solutions, judged as a response is", header, counts))
    if failed := [list(row) for found in data.references.values() for row in found.failed[:_SHOWN]]:
        parts.append((f"The first that are not right, at most {_SHOWN}", ["problem", "reason", "it"], failed))
    if data.overlaps:
        header = ["benchmark", "problems", "contained", "of those told", "too short to tell"]
        parts.append(("Benchmark problems in the training set (half of the 13-grams)", header, _overlaps(data)))
    return parts


def _rows(data: TrainingData) -> list[list[str]]:
    return [
        ["at the source", f"{data.records:,}"],
        ["different questions", f"{data.unique:,}"],
        ["questions with more than one gold", f"{data.conflicts:,}"],
        *([f"dropped: {reason}", _dropped(data, reason)] for reason in sorted(data.dropped)),
        ["problems to train on", f"{data.problems:,}"],
        *(
            [f"left out of {name}: {reason}", f"{count:,}"]
            for name, reasons in data.left_out.items()
            for reason, count in reasons.items()
        ),
    ]


def _lengths(lengths: Lengths) -> list[list[str]]:
    most = max(lengths.histogram.values())
    rows = [
        [f"{bound:,}", f"{count:,}", "█" * round(_BAR * count / most)] for bound, count in lengths.histogram.items()
    ]
    rows.append(["median, 95 %", f"{lengths.median:,}, {lengths.p95:,}", f"mean {lengths.mean:.1f}"])
    rows.append(["longest", f"{lengths.longest:,}", ""])
    if lengths.limit is not None:
        rows.append([f"over {lengths.limit:,}", f"{lengths.too_long:,}", "longer than the limit"])
    return rows


def _dropped(data: TrainingData, reason: str) -> str:
    first = data.first.get(reason)
    return f"{data.dropped[reason]:,}" + (f" (the first is record {first:,})" if first else "")


def _bad_golds(golds: Golds) -> list[list[str]]:
    unreadable = [[problem, gold[:60], "cannot be read"] for problem, gold in golds.unreadable[:_SHOWN]]
    return unreadable + [
        [problem, gold[:60], f"in another spelling is judged: {word}"] for problem, gold, word in golds.unequal[:_SHOWN]
    ]


def _overlaps(data: TrainingData) -> list[list[str]]:
    return [
        [
            o.benchmark,
            f"{o.problems:,}",
            f"{len(o.ids):,}",
            f"{100 * len(o.ids) / told:.1f} %" if (told := o.problems - o.too_short) else "-",
            f"{o.too_short:,}",
        ]
        for o in data.overlaps
    ]


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left")
    for at, name in enumerate(header):
        table.add_column(name, justify="right" if at and name else "left")
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    return table
