"""One offline HTML page about one run or several: results, curves, costs, the ledger and every experience."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from mel.record.ledger import KEPT, STAGES, Ledger
from mel.record.metric_names import EVALUATION, GENERATED, SECONDS, STEP
from mel.report import charts
from mel.report.arms import Arm, Run, read_arms
from mel.report.browser import MAX_ATTEMPTS, experiences_json
from mel.report.comparison import WIDE, Comparison, compare
from mel.report.part import TEXT, in_part
from mel.visible import visible

AXES = ((STEP, "steps"), (GENERATED, "generated tokens"), (SECONDS, "seconds"))

ALWAYS = ("reward/mean", "reward/groups_mixed")
"""Curves before those of the rates that the runs' auxiliaries declare."""

WORDS = {
    "reward/mean": ("Reward", "mean over the rollouts of a step"),
    "reward/groups_mixed": ("Mixed groups", "share of problems with right and wrong rollouts"),
    "experience/retention": ("Retention", "replays with the experience that were accepted"),
    "experience/parse_rate": ("Parsed", "experiences that could be read"),
    "experience/leak_rate": ("Leaks", "experiences that state the final answer"),
    "experience/replay_success": ("Replay success", "attempts that were right"),
    "experience/localization": ("Localization", "s* is the true first error"),
    "experience/kept_localization": ("Localization of kept", "s* is the true first error"),
    "experience/rule_truth": ("Rule truth", "heuristics that are true"),
    "experience/kept_rule_truth": ("Rule truth of kept", "heuristics that are true"),
    "objective/lambda": ("Weight λ", "of the auxiliary term"),
    "objective/cosine": ("Cosine", "between policy and auxiliary gradient"),
    "objective/nll": ("NLL", "of the auxiliary rows, nats per token"),
}
"""Title and note of metrics that have human words; any other is called by its path."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """A chart of the page: the same metric against each axis that the runs logged."""

    path: str
    title: str
    note: str
    by_axis: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerRow:
    """The ledger of an arm, summed over its runs.

    Args:
        stages: word, count, meaning and the count that it is a part of; each stage is a part of the one before.
        failures: reason -> how many were not kept for it, most frequent first.
    """

    arm: str
    color: int
    counts: Ledger
    stages: tuple[tuple[str, int, str, int], ...]
    failures: tuple[tuple[str, int], ...]


def build(runs: Sequence[str | Path], out: str | Path) -> Path:
    """Write the page about these run directories and return where it is.

    The first run's arm is what the others are compared to.

    Raises:
        ValueError: no run, a path that is no run directory, or jinja2 is not installed.
    """
    html = render(read_arms(runs))
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(html, encoding="utf-8")
    return out


def render(arms: Sequence[Arm]) -> str:
    """The page as text."""
    style, script = _asset("page.css"), _asset("page.js")
    all_runs = [run for arm in arms for run in arm.runs]
    embedded, num_shown, num_total = experiences_json(all_runs)
    comparison = compare(arms)
    return (
        _environment()
        .get_template("page.html")
        .render(
            title=" vs ".join(arm.name for arm in arms),
            style=style,
            script=script,
            # Only this script may run, even if a text should ever get past the escaping.
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            arms=list(enumerate(arms)),
            comparison=comparison,
            is_tall=len(comparison.columns) > WIDE,
            suites=_suites(comparison),
            differences=charts.interval_chart(_differences(comparison)),
            axes=_axes(arms),
            curves=[c for c in (_curve(arms, *curve) for curve in _curves(arms)) if c.by_axis],
            costs=_costs(arms),
            ledger=_ledger(arms),
            experiences=embedded,
            num_shown=num_shown,
            num_total=num_total,
            max_text=TEXT,
            max_attempts=MAX_ATTEMPTS,
            details=[(run, _yaml(run.recipe), _yaml(run.environment)) for run in all_runs],
            facts=[(run, _facts(run)) for run in all_runs],
        )
    )


def _environment() -> Any:
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
    except ImportError:
        raise ValueError("the report page needs jinja2, which is not installed: pip install -e '.[report]'") from None
    environment = Environment(
        loader=FunctionLoader(_asset), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "points": _points,
        "share": _share,
        "grouped": _grouped,
        "words": lambda s: s.replace("_", " "),
    }
    return environment


def _asset(name: str) -> str:
    return (resources.files("mel.report") / "templates" / name).read_text(encoding="utf-8")


def _suites(comparison: Comparison) -> list[tuple[str, int]]:
    """Evaluations in the order of the columns, with how many columns each has."""
    return list(Counter(c.evaluation for c in comparison.columns).items())


def _differences(comparison: Comparison) -> list[tuple[str, int, Any]]:
    arms = [row for row in comparison.rows if row.seeds]
    several = len(_suites(comparison)) > 1
    found = []
    for i, column in enumerate(comparison.columns):
        name = f"{column.evaluation} {column.label}" if several else column.label
        for number, row in enumerate(arms):
            difference = row.cells[i].difference
            if difference is not None:
                found.append((f"{name}, {row.arm}" if len(arms) > 2 else name, number, difference))
    return found


def _axes(arms: Sequence[Arm]) -> list[tuple[str, str]]:
    """The axes that some run logged."""
    return [(axis, name) for axis, name in AXES if any(axis in row for a in arms for r in a.runs for row in r.metrics)]


def _curves(arms: Sequence[Arm]) -> list[tuple[str, str, str]]:
    """Path, title and note: the rewards, the declared rates, what else has words, the evaluations during training."""
    runs = [run for arm in arms for run in arm.runs]
    evaluations = sorted({p for run in runs for row in run.metrics for p in row if p.startswith(EVALUATION)})
    rates = [path for run in runs for path in run.rates]
    known = [(path, *_words(path)) for path in dict.fromkeys((*ALWAYS, *rates, *WORDS))]
    return [*known, *((path, path.removeprefix(EVALUATION), "during training") for path in evaluations)]


def _words(path: str) -> tuple[str, str]:
    return WORDS.get(path, (path.rpartition("/")[2].replace("_", " ").capitalize(), ""))


def _curve(arms: Sequence[Arm], path: str, title: str, note: str) -> Curve:
    found = {}
    for axis, _ in _axes(arms):
        lines = []
        for color, arm in enumerate(arms):
            series = [s for s in (run.series(path, axis) for run in arm.runs) if s]
            if series:
                mean = charts.average([charts.smooth(s) for s in series])
                lines.append(charts.Line(label=arm.name, color=color, mean=mean, raw=series))
        if lines:
            found[axis] = charts.line_chart(lines, title=f"{title} against {axis}")
    return Curve(path=path, title=title, note=note, by_axis=found)


def _costs(arms: Sequence[Arm]) -> list[tuple[str, list[float | None]]]:
    """Metric path -> mean per run of each arm, for tokens and seconds by phase."""
    logged = {path for arm in arms for run in arm.runs for row in run.metrics for path in row}
    paths = sorted(p for p in logged if p.startswith(("tokens/", "time_s/")) and p != "time_s/step")
    rows = []
    for path in sorted(paths, key=lambda p: (not p.startswith("tokens/"), p in (GENERATED, SECONDS), p)):
        per_arm = [[v for run in arm.runs if (v := run.total(path)) is not None] for arm in arms]
        rows.append((path, [sum(v) / len(v) if v else None for v in per_arm]))
    return rows


def _ledger(arms: Sequence[Arm]) -> list[LedgerRow]:
    """One row for every arm that holds an experience."""
    summed = [Ledger.sum(run.ledger for run in arm.runs) for arm in arms]
    return [
        LedgerRow(
            arm=arm.name,
            color=color,
            counts=counts,
            stages=_stages(counts),
            failures=tuple(item for item in counts.reasons.items() if item[0] != KEPT),
        )
        for color, (arm, counts) in enumerate(zip(arms, summed, strict=True))
        if counts.candidates
    ]


def _stages(counts: Ledger) -> tuple[tuple[str, int, str, int], ...]:
    found: list[tuple[str, int, str, int]] = []
    for word, field, meaning in STAGES:
        count = getattr(counts, field)
        found.append((word, count, meaning, found[-1][1] if found else count))
    return tuple(found)


def _facts(run: Run) -> list[tuple[str, str]]:
    """What the header says of a run."""
    model, task = run.recipe.get("model"), run.recipe.get("task")
    facts = [
        ("model", model.get("path") if isinstance(model, dict) else model),
        ("task", task.get("name") if isinstance(task, dict) else task),
        ("steps", run.status.step or None),
        ("commit", str(run.environment.get("commit") or "")[:10]),
        ("started", run.status.started_at.replace("T", " ").removesuffix("+00:00") + " UTC"),
        ("resumed", f"{len(run.status.resumed_at)} times" if run.status.resumed_at else None),
        ("unfinished evaluations", ", ".join(run.unfinished)),
        ("message", run.status.message),
    ]
    return [(name, in_part(visible(str(value)))[0]) for name, value in facts if value not in (None, "")]


def _yaml(value: Any) -> str:
    return yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True)


def _points(share: float, sign: str = "") -> str:
    return f"{100 * share:{sign}.1f}"


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"


def _grouped(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"
