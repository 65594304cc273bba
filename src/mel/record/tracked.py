"""The table of experiences that trackers get: which candidates, which columns, and the same as Markdown."""

from __future__ import annotations

import html
from collections.abc import Sequence

from mel.record.columns import columns_of
from mel.record.experience import Made, StoredExperience, attempt_to_show
from mel.types import Replayed
from mel.visible import visible

CELL = 500
"""Characters of a text at most; of a longer one the middle is left out, so that a replay keeps its answer."""

REPLAY = "replay"
"""The one column that no experience has: the replay to look at, which is a row of its own in the store."""

MARKDOWN = str.maketrans({c: f"&#{ord(c)};" for c in "|`*_[]\\~"})
"""Characters that would end a cell or be set as something else; `html.escape` sees to the others."""

TrackedRow = dict[str, object]


def tracked_columns(experience: type = StoredExperience) -> tuple[str, ...]:
    """The headings of the table."""
    return (*(c.name for c in columns_of(experience) if c.meant.tracked), REPLAY)


def tracked_row(step: int, replayed: Replayed, experience: type = StoredExperience) -> TrackedRow:
    """One line of the table; named as in experiences.db, texts visible and shortened, None where there is nothing.

    Args:
        step: 1-based number of the optimizer step that the experience was made for.
    """
    made = Made(step=step, replayed=replayed)
    row = {c.name: _short(c.value(made)) for c in columns_of(experience) if c.meant.tracked}
    shown = attempt_to_show(replayed.attempts)
    return {**row, REPLAY: _short(shown.completion.text) if shown else None}


def sample(replayed: Sequence[Replayed], count: int) -> list[Replayed]:
    """At most so many, kept ones first: half of each kind where there are enough, spread evenly over the batch.

    Deterministic: drawing at random would shift the trainer's random stream.
    """
    kept, rejected = [r for r in replayed if r.is_kept], [r for r in replayed if not r.is_kept]
    num_kept = min(len(kept), max(count - len(rejected), (count + 1) // 2))
    return _spread(kept, num_kept) + _spread(rejected, min(len(rejected), count - num_kept))


def as_markdown(rows: Sequence[TrackedRow]) -> str:
    """A Markdown table in which every cell shows its text as it is, whatever a policy wrote."""
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *([_cell(row[c]) for c in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return "<br>".join(html.escape(line, quote=False).translate(MARKDOWN) for line in text.splitlines())


def _short(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = visible(value)
    return text if len(text) <= CELL else f"{text[: CELL // 2]} [...] {text[-CELL // 2 :]}"


def _spread(items: list[Replayed], count: int) -> list[Replayed]:
    return [items[i * len(items) // count] for i in range(count)]
