"""Which misconception fell when: of each arm, how often each concept was right along the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from mel.record.concepts import CONCEPT
from mel.report.arms import Arm
from mel.report.charts import COLORS

BINS = 12
"""Parts that a run is cut into."""

RIGHT = 0.5
"""Share of right steps above which a concept counts as learned."""

MOST = 30
"""Concepts of a chart; those that were wrong most often at the start are shown."""

ALWAYS_RIGHT = 0.95
"""A concept that every arm has right from its first part on is no misconception."""

WIDTH, LEFT, RIGHT_SIDE, ROW, HEAD = 340, 124, 54, 15, 16

LONGEST = 22
"""Characters of a concept's name that fit beside its row; a pointer on a longer one shows the whole."""

Shares = Mapping[str, Sequence[float | None]]
"""Concept -> share of right steps in each part of the run; None where it was not met."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConceptChart:
    """One arm's chart.

    Args:
        learned, shown: concepts that are right more often than not at the end, and all that the chart shows.
    """

    arm: str
    color: int
    svg: str
    learned: int
    shown: int


def concept_charts(arms: Sequence[Arm]) -> list[ConceptChart]:
    """A chart for each arm whose task knows what a step turns on, the same concepts in the same order in each."""
    shares = {arm.name: _shares(arm) for arm in arms}
    names = _order([of_arm for of_arm in shares.values() if of_arm])
    found = []
    for color, arm in enumerate(arms):
        if shares[arm.name] and names:
            steps = max(row["step"] for run in arm.runs for row in run.metrics)
            fell = {name: _fell(shares[arm.name].get(name, ())) for name in names}
            found.append(
                ConceptChart(
                    arm=arm.name,
                    color=color,
                    svg=_svg(arm.name, names, shares[arm.name], fell, steps, color),
                    learned=sum(place is not None for place in fell.values()),
                    shown=len(names),
                )
            )
    return found


def _shares(arm: Arm) -> Shares:
    """Means over the lines of each part of the run, then over its runs."""
    sums: dict[str, list[list[float]]] = {}
    for run in arm.runs:
        last = max((row["step"] for row in run.metrics), default=0)
        for row in run.metrics:
            place = min(BINS - 1, (row["step"] - 1) * BINS // max(1, last))
            for path, value in row.items():
                if path.startswith(CONCEPT) and isinstance(value, int | float):
                    name = path.removeprefix(CONCEPT)
                    sums.setdefault(name, [[] for _ in range(BINS)])[place].append(float(value))
    return {name: [sum(b) / len(b) if b else None for b in bins] for name, bins in sums.items()}


def _order(arms: Sequence[Shares]) -> list[str]:
    """The concepts that some arm had wrong at its start, those that were wrong most often first."""
    firsts: dict[str, list[float]] = {}
    for shares in arms:
        for name, bins in shares.items():
            if (first := _first(bins)) is not None:
                firsts.setdefault(name, []).append(first)
    means = {name: sum(found) / len(found) for name, found in firsts.items()}
    wrong = [name for name, mean in means.items() if mean < ALWAYS_RIGHT]
    return sorted(wrong, key=lambda name: (means[name], name))[:MOST]


def _first(bins: Sequence[float | None]) -> float | None:
    return next((share for share in bins if share is not None), None)


def _fell(bins: Sequence[float | None]) -> int | None:
    """The part of the run from which on the concept is right more often than not, to the end; None if it never is."""
    found = None
    for place in reversed(range(len(bins))):
        share = bins[place]
        if share is None:
            continue
        if share <= RIGHT:
            break
        found = place
    return found


def _svg(arm: str, names: Sequence[str], shares: Shares, fell: Mapping[str, int | None], steps: int, color: int) -> str:
    width = (WIDTH - LEFT - RIGHT_SIDE) / BINS
    cells: dict[float | None, list[str]] = {}
    height = HEAD + ROW * len(names) + 4
    parts = [
        f'<text class="tick" x="{LEFT}" y="10">step 1</text>'
        f'<text class="tick" x="{WIDTH - RIGHT_SIDE}" y="10" text-anchor="end">{steps}</text>'
    ]
    for i, name in enumerate(names):
        y = HEAD + ROW * i
        label = f"{escape(name[: LONGEST - 1])}…<title>{escape(name)}</title>" if len(name) > LONGEST else escape(name)
        parts.append(f'<text class="label" x="{LEFT - 8}" y="{y + 11}" text-anchor="end">{label}</text>')
        for place, share in enumerate(shares.get(name, [None] * BINS)):
            outline = f"M{LEFT + place * width:.1f} {y}h{width - 1:.1f}v{ROW - 2}h-{width - 1:.1f}z"
            cells.setdefault(None if share is None else round(share, 1), []).append(outline)
        bin_ = fell[name]
        said = "not yet" if bin_ is None else "from 1" if bin_ == 0 else f"step {bin_ * steps // BINS + 1}"
        parts.append(f'<text class="number" x="{WIDTH - RIGHT_SIDE + 6}" y="{y + 11}">{said}</text>')
    parts.append(_cells(cells))
    title = f"How often {arm} has each concept right along the run"
    return (
        f'<svg class="concepts c{color % COLORS}" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def _cells(shares: Mapping[float | None, Sequence[str]]) -> str:
    """The cells of each tenth as one element: a study has thousands of cells, and a browser takes its time for each."""
    met = [outline for share, outlines in shares.items() if share is not None for outline in outlines]
    drawn = [_path("base", met), _path("unmet", shares.get(None, ()))]
    drawn += [_path("cell", shares[share], opacity=share) for share in sorted(filter(None, shares))]
    return "".join(drawn)


def _path(style: str, outlines: Sequence[str], *, opacity: float | None = None) -> str:
    fill = "" if opacity is None else f' fill-opacity="{opacity:.1f}"'
    return f'<path class="{style}"{fill} d="{"".join(outlines)}"/>' if outlines else ""
