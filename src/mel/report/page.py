"""One offline HTML page about a run, several runs or a study: what came of it, and every experience."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from mel import recipe_yaml
from mel.record.metrics_log import replace_file
from mel.record.run_directory import GOING_ON, INTERRUPTED
from mel.report import charts
from mel.report.arms import Arm, Run, read_arms
from mel.report.browser import MAX_ATTEMPTS, experiences_json
from mel.report.cell_states import FINISHED, Unfinished, unfinished
from mel.report.comparison import WIDE, Comparison, compare
from mel.report.concept_charts import concept_charts
from mel.report.curves import axes_of, curve_groups, other_measurements
from mel.report.part import TEXT, in_part
from mel.report.study import ArmSummary, Results
from mel.report.tables import costs, ledgers, recipe_changes, versions
from mel.report.templating import render_template
from mel.report.words import Words, commit_word, declared_by, duration
from mel.visible import visible

STYLES, SCRIPTS = ("base.css", "page.css"), ("charts.js", "experiences.js")

PAGE_BYTES = 4_900_000
"""Of the whole page; the experiences get what the rest leaves."""

PLACE = "<experiences>"
"""Where the template leaves room for the experiences; no text of a run can say this, since < is escaped."""

FEW_RUNS = 8
"""Runs up to which the recipe and environment of each stand in the page; of more, those of each arm's first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """Arms that are compared with each other: all of the page, or those at one combination of a study's axis values.

    Args:
        label: the axis values; empty if there is but one point.
        first: place of its first arm among the arms of the page, by which arms are colored.
        suite: the evaluation that `summaries` are about.
        summaries: of a study: differences at equal cost.
    """

    label: str
    first: int
    comparison: Comparison
    suite: str = ""
    summaries: tuple[ArmSummary, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """What a page says of the study that its runs belong to.

    Args:
        target: share of right answers whose cost is reported; None if the study has none.
        command: makes the study.
        asked: name of an arm of the page -> how many runs it is to have.
        finished: runs, of all.
        asked_in_all: how many that are together, with the arms that have no finished run.
        took: the training of those, in words.
        baseline: the arm that differences at equal cost are to.
    """

    name: str
    question: str
    target: float | None
    command: str
    asked: Mapping[str, int]
    finished: int
    asked_in_all: int
    took: str
    baseline: str
    not_finished: tuple[Unfinished, ...]


def build(runs: Sequence[str | Path], out: str | Path) -> Path:
    """Write the page about these run directories and return where it is.

    The first run's arm is what the others are compared to.

    Raises:
        ValueError: no run, a path that is no run directory, or jinja2 is not installed.
    """
    arms = read_arms(runs)
    html = render(arms, [Point(label="", first=0, comparison=compare(arms))])
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    replace_file(out, html, doing="writing the report page")
    return out


def render_study(results: Results) -> str:
    """The page of a study as text; the arms of each combination of axis values are compared among themselves."""
    arms: list[Arm] = []
    points, asked = [], dict[str, int]()
    for point in results.points:
        names = {arm.name: f"{arm.name} ({point.label})" if point.label else arm.name for arm in point.arms}
        points.append(
            Point(
                label=point.label,
                first=len(arms),
                comparison=point.comparison,
                suite=point.suite,
                summaries=point.summaries,
            )
        )
        arms += [_renamed(arm, names[arm.name]) for arm in point.arms]
        asked |= {names[summary.name]: summary.asked for summary in point.summaries}
    study = Study(
        name=results.name,
        question=results.question,
        target=results.target,
        command=results.command,
        asked=asked,
        finished=results.finished,
        asked_in_all=len(results.cells),
        baseline=results.order[0],
        took=duration(results.seconds),
        not_finished=tuple(unfinished(results.cells)),
    )
    return render(arms, points, study=study)


def _renamed(arm: Arm, name: str) -> Arm:
    """The arm by the name that the study gives it; its runs go by that too, since arms may share a recipe."""
    return Arm(name=name, runs=tuple(replace(run, name=name) for run in arm.runs))


def render(arms: Sequence[Arm], points: Sequence[Point], *, study: Study | None = None) -> str:
    """The page as text."""
    all_runs = [run for arm in arms for run in arm.runs]
    words = Words(declared={path: w for run in all_runs for path, w in declared_by(run.environment).items()})
    told = [(arm, _facts(arm)) for arm in arms]
    shared = [fact for fact in told[0][1] if len(arms) > 1 and all(fact in facts for _, facts in told)]
    detailed = all_runs if len(all_runs) <= FEW_RUNS else [arm.runs[0] for arm in arms]
    page = render_template(
        "page.html",
        styles=STYLES,
        scripts=SCRIPTS,
        filters={"points": _points, "share": _share, "grouped": _grouped, "measured": _measured, "words": _words},
        title=study.name if study else _title([arm.name for arm in arms]),
        study=study,
        arms=[
            (color, arm, _states(arm), [fact for fact in facts if fact not in shared])
            for color, (arm, facts) in enumerate(told)
        ],
        shared=shared,
        made=_made(all_runs),
        points=[(point, _is_tall(point), *charts.differences(_differences(point))) for point in points],
        num_runs=len(all_runs),
        num_seeds=max(len(arm.runs) for arm in arms),
        axes=axes_of(arms),
        curve_groups=curve_groups(arms, words),
        concepts=concept_charts(arms),
        costs=costs(arms, words),
        ledger=ledgers(arms),
        others=other_measurements(arms, words),
        place=PLACE,
        has_experiences=any(run.ledger.candidates for run in all_runs),
        max_text=TEXT,
        max_attempts=MAX_ATTEMPTS,
        changes=recipe_changes(arms),
        versions=versions(arms),
        details=[
            (run, recipe_yaml.dump(dict(run.recipe)), recipe_yaml.dump(dict(run.environment))) for run in detailed
        ],
    )
    experiences = experiences_json(all_runs, room=PAGE_BYTES - len(page.encode()))
    return page.replace(PLACE, experiences)


def _title(names: Sequence[str]) -> str:
    return " vs ".join(names) if len(names) <= 4 else f"{names[0]} vs {len(names) - 1} others"


def _is_tall(point: Point) -> bool:
    """Whether arms are the columns: where there are more scores than arms, and more than fit side by side."""
    columns, rows = len(point.comparison.columns), len(point.comparison.rows)
    return columns > WIDE and rows <= WIDE


def _differences(point: Point) -> list[charts.Row]:
    """Of each score the arms below each other; of two arms the scores."""
    comparison = point.comparison
    arms = [row for row in comparison.rows if row.seeds]
    several = len(Counter(c.evaluation for c in comparison.columns)) > 1
    found = []
    for i, column in enumerate(comparison.columns):
        name = f"{column.evaluation} {column.label}" if several else column.label
        for number, row in enumerate(arms):
            difference = row.cells[i].difference
            if difference is not None:
                group, label = (name, row.arm) if len(arms) > 2 else ("", name)
                found.append(charts.Row(group=group, label=label, color=point.first + number, found=difference))
    return found


def _states(arm: Arm) -> list[tuple[str, int]]:
    """State -> how many of the arm's runs are in it."""
    return Counter(run.state for run in arm.runs).most_common()


def _facts(arm: Arm) -> list[tuple[str, str]]:
    """What the header says of an arm: what its runs have in common, and what became of single ones."""
    first = arm.runs[0]
    model, task = first.recipe.get("model"), first.recipe.get("task")
    going = [run.status.updated_at for run in arm.runs if run.state in (*GOING_ON, INTERRUPTED)]
    facts = [
        ("model", model.get("path") if isinstance(model, dict) else model),
        ("task", task.get("name") if isinstance(task, dict) else task),
        ("steps", _steps(arm)),
        ("seed" if len(arm.seeds) == 1 else "seeds", ", ".join(str(seed) for seed in arm.seeds if seed is not None)),
        ("commit", ", ".join(dict.fromkeys(commit_word(run.environment.get("commit")) for run in arm.runs))),
        ("started", _time(min(run.status.started_at for run in arm.runs))),
        ("last written", _time(max(going)) if going else ""),
        ("resumed", _times(sum(len(run.status.resumed_at) for run in arm.runs))),
        ("unfinished evaluations", ", ".join(name for run in arm.runs for name in run.unfinished)),
        ("message", "; ".join(dict.fromkeys(run.status.message for run in arm.runs if run.status.message))),
    ]
    return [(name, in_part(visible(str(value)))[0]) for name, value in facts if value not in (None, "")]


def _made(runs: Sequence[Run]) -> str:
    """When this page was made, if some run goes on: then it is soon out of date."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return _time(now) if any(run.state in GOING_ON for run in runs) else ""


def _steps(arm: Arm) -> str:
    """Steps done, of a run that is not finished also how many there will be; the fewest and the most of several."""
    done = sorted({run.status.step for run in arm.runs})
    trainer = arm.runs[0].recipe.get("trainer")
    most = trainer.get("max_steps") if isinstance(trainer, dict) else None
    is_finished = all(run.state == FINISHED for run in arm.runs)
    so_far = " to ".join(str(s) for s in dict.fromkeys((done[0], done[-1])))
    if isinstance(most, int) and most > 0 and not is_finished:
        return f"{so_far} of {most}"
    return so_far if done[-1] else ""


def _time(text: str) -> str:
    """To the minute."""
    return f"{text.replace('T', ' ')[:16]} UTC"


def _times(count: int) -> str:
    return "" if not count else "once" if count == 1 else f"{count} times"


def _points(share: float, sign: str = "") -> str:
    return f"{100 * share:{sign}.1f}"


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"


def _grouped(value: float | None) -> str:
    """A count or seconds; a dash where nothing was counted."""
    if not value:
        return "-"
    if abs(value) < 0.01:
        return "< 0.01"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:#.3g}"


def _measured(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.3g}"


def _words(text: str) -> str:
    return text.replace("_", " ")
