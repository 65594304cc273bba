"""`mel localize`: a model, or a localizer that asks none, on solutions whose first wrong step is labelled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from mel.evaluate.evaluation import SEED
from mel.evaluate.localization import FREE, NEEDS_RIGHT, by_source, free_scores
from mel.evaluate.localization_result import LocalizationResult, about, write_localization
from mel.evaluate.step_errors import StepErrors, load_step_errors
from mel.naming import known
from mel.record.lock import only_writer
from mel.record.provenance import versions
from mel.report.localization_table import localization_tables
from mel.run.evaluation.critic import Answers, Critic, answers
from mel.run.evaluation.localizers import READING, SCORING, number_in
from mel.run.evaluation.target import name_of
from mel.run.prepare import named_model
from mel.stages.localize import Localizer

LOCALIZATIONS = Path("runs/localize")
"""Where results go: a directory for a model, and in it one for each set of data and each way to ask."""

_NOT_HERE = {
    "monte_carlo": "it continues solutions and needs a task that verifies them",
    "oracle": "it is the task's own knowledge, and the labels of the data are what it would say",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """What is localized in: a hub id or a file.

    Args:
        count: the first so many solutions; None for all.
    """

    source: str
    split: str = "test"
    config: str | None = None
    count: int | None = None

    @property
    def name(self) -> str:
        """The file's name without endings, or that of the data set and the split."""
        name = Path(self.source).name.split(".")[0]
        return name if Path(self.source).exists() else f"{name}-{self.split}"

    def load(self, *, alone: bool) -> tuple[StepErrors, bool]:
        """The solutions, and whether right ones are in view: wherever the data hold some, unless they stand alone.

        Raises:
            ValueError: data that cannot be read.
        """
        found = load_step_errors(self.source, split=self.split, config=self.config)
        in_view = not alone and any(one.right_steps for one in found.solutions)
        found = found.with_right() if in_view else found.alone()
        return (found if self.count is None else found.only(found.solutions[: self.count], "beyond_count")), in_view


def localize(
    data: Data,
    critic: Critic | None,
    localizer: str | None,
    *,
    alone: bool = False,
    output: Path | None = None,
    console: Console,
) -> LocalizationResult:
    """Scores of what a localizer names, beside those that ask no model; written to a directory and shown.

    Args:
        critic: None for localizers that ask no model.
        localizer: by its name in recipes; None for `critique`, or without a model for all that need none.
        alone: keep right solutions out of view where the data hold some.

    Raises:
        ValueError: a localizer that cannot serve here, or data or a model that cannot be read.
    """
    _check(localizer, critic)
    if critic is not None:
        critic.engine.check_installed()
        named_model(critic.target.model, critic.chat_template)  # refused before the data are read, perhaps from the hub
    found, in_view = data.load(alone=alone)
    if not in_view and localizer in ("agreement", "likelihood", *NEEDS_RIGHT):
        raise ValueError(
            f"--localizer {localizer} compares with a right solution, and none is in view: leave out --alone, or give "
            "data with a column correct_steps"
        )
    view = "" if in_view else "-alone"
    if critic is None:
        out = output or LOCALIZATIONS / "free" / f"{data.name}{view}"
        result = _free_result(data, found, _free(localizer, in_view), in_view=in_view)
    else:
        asked: Localizer = localizer or "critique"  # type: ignore[assignment]
        out = output or LOCALIZATIONS / name_of(critic.target.model) / f"{data.name}-{asked}{view}"
        out.mkdir(parents=True, exist_ok=True)
        with only_writer(out):
            said = answers(critic, asked, found, in_view=in_view, out=out, console=console)
        result = _result(data, asked, said, in_view=in_view)
    write_localization(result, out)
    _show(result, out, console)
    return result


def _free_result(data: Data, found: StepErrors, names: Sequence[str], *, in_view: bool) -> LocalizationResult:
    return LocalizationResult(
        data=data.source,
        in_view=in_view,
        skipped=found.skipped,
        scores=tuple(free_scores(found.solutions, names=names, seed=SEED)),
        versions=dict(versions()),
    )


def _result(data: Data, localizer: Localizer, said: Answers, *, in_view: bool) -> LocalizationResult:
    """The scores of what the model said, with the free localizers on the same solutions."""
    solutions, responses = said.found.solutions, said.responses
    named = {r.problem: number_in(r.detail) for r in responses}
    free = _free_result(data, said.found, _free(None, in_view), in_view=in_view)
    return replace(
        free,
        scores=(*by_source(localizer, solutions, named), *free.scores),
        settings=said.settings,
        tokens=sum(r.num_tokens for r in responses),
        seconds=sum(r.seconds for r in responses),
        truncated=sum(r.is_truncated for r in responses),
        reasons=dict(Counter(r.reason for r in responses).most_common()),
    )


def _show(result: LocalizationResult, out: Path, console: Console) -> None:
    for table in localization_tables(result):
        console.print(table)
    for line in (*about(result), f"answers and scores: {out}"):
        console.print(line, soft_wrap=True, highlight=False)


def _free(localizer: str | None, in_view: bool) -> list[str]:
    """The free localizers to score: the one that was asked for, or all that need no more than is in view."""
    if localizer is not None:
        return [localizer]
    return [name for name in FREE if in_view or name not in NEEDS_RIGHT]


def _check(localizer: str | None, critic: Critic | None) -> None:
    """Refuses what could not be done, before anything is read."""
    if localizer is None:
        return
    if localizer in _NOT_HERE:
        raise ValueError(f"--localizer {localizer} cannot be scored on data: {_NOT_HERE[localizer]}")
    known(localizer, (*READING, *SCORING, *FREE), "--localizer")
    if critic is None and localizer not in FREE:
        raise ValueError(f"--localizer {localizer} asks a model: mel localize MODEL DATA --localizer {localizer}")
    if critic is not None and localizer in FREE:
        raise ValueError(f"--localizer {localizer} asks no model; leave the model out")
    if critic is not None and localizer in SCORING and critic.engine.engine != "transformers":
        raise ValueError(
            f"--localizer {localizer} reads log-probabilities, which --engine {critic.engine.engine} does not give "
            "here; use --engine transformers"
        )
