"""`mel localize`: a model, or a localizer that asks none, on solutions whose first wrong step is labelled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from mel import prompts
from mel.evaluate.evaluation import SEED, respond
from mel.evaluate.localization import FREE, NEEDS_RIGHT, by_source, free_scores
from mel.evaluate.localization_result import LocalizationResult, write_localization
from mel.evaluate.responses import Response, Settings, hash_ids, hash_problems
from mel.evaluate.step_errors import StepErrors, load_step_errors
from mel.naming import known
from mel.prompts.chat import ChatTokenizer
from mel.record.lock import only_writer
from mel.record.provenance import fingerprint, versions
from mel.report.localization_table import localization_tables
from mel.report.terminal import evaluation_progress
from mel.run.evaluation.engines import EngineChoice, open_engine
from mel.run.evaluation.localizers import READING, SCORING, Asking, Judge, number_in
from mel.run.evaluation.target import BATCH_SIZE, Target, name_of
from mel.run.prepare import model_directory
from mel.stages.localize import Localizer
from mel.types import Problem

LOCALIZATIONS = Path("runs/localize")
"""Where results go: a directory for a model, and in it one for each set of data and each way to ask."""

MAX_TOKENS = 2048
"""Of an answer, unless asked otherwise."""

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

    def load(self, *, in_view: bool | None) -> tuple[StepErrors, bool]:
        """The solutions, and whether right ones are in view.

        Args:
            in_view: None for wherever the data hold right ones.

        Raises:
            ValueError: data that cannot be read, or that hold none.
        """
        found = load_step_errors(self.source, split=self.split, config=self.config)
        has_right = any(one.right_steps for one in found.solutions)
        if in_view and not has_right:
            raise ValueError(
                f"{self.source}: expected right solutions in a column correct_steps; there are none. Leave them out of "
                "view: --alone"
            )
        in_view = has_right if in_view is None else in_view
        found = found.with_right() if in_view else found.alone()
        return (found if self.count is None else found.only(found.solutions[: self.count], "beyond_count")), in_view


@dataclass(frozen=True, kw_only=True, slots=True)
class Critic:
    """The model that is asked, and how.

    Args:
        prompts: name of a prompt set, or its directory.
    """

    target: Target
    engine: EngineChoice
    prompts: str = "math"
    chat_template: str | None = None
    max_tokens: int = MAX_TOKENS


def localize(
    data: Data,
    critic: Critic | None,
    localizer: str | None,
    *,
    in_view: bool | None = None,
    output: Path | None = None,
    console: Console,
) -> LocalizationResult:
    """Scores of what a localizer names, beside those that ask no model; written to a directory and shown.

    Args:
        critic: None for localizers that ask no model.
        localizer: by its name in recipes; None for `critique`, or without a model for all that need none.
        in_view: whether right solutions are shown; None for wherever the data hold them.

    Raises:
        ValueError: a localizer that cannot serve here, or data or a model that cannot be read.
    """
    _check(localizer, critic)
    found, in_view = data.load(in_view=in_view)
    if not in_view and localizer in ("agreement", "likelihood", *NEEDS_RIGHT):
        raise ValueError(
            f"--localizer {localizer} compares with a right solution, and none is in view; leave out --alone"
        )
    name = Path(data.source).name.split(".")[0] + (f"-{data.split}" if not Path(data.source).exists() else "")
    view = "" if in_view else "-alone"
    if critic is None:
        out = output or LOCALIZATIONS / "free" / f"{name}{view}"
        result = LocalizationResult(
            data=data.source, in_view=in_view, skipped=found.skipped, versions=dict(versions()),
            scores=tuple(free_scores(found.solutions, names=_free(localizer, in_view), seed=SEED)),
        )  # fmt: skip
        out.mkdir(parents=True, exist_ok=True)
    else:
        asked: Localizer = localizer or "critique"  # type: ignore[assignment]
        out = output or LOCALIZATIONS / name_of(critic.target.model) / f"{name}-{asked}{view}"
        out.mkdir(parents=True, exist_ok=True)
        with only_writer(out):
            result = _asked(data, critic, asked, found, in_view=in_view, out=out, console=console)
    write_localization(result, out)
    for table in localization_tables(result):
        console.print(table)
    console.print(f"scores: {out}", soft_wrap=True, highlight=False)
    return result


def _asked(
    data: Data, critic: Critic, localizer: Localizer, found: StepErrors, *, in_view: bool, out: Path, console: Console
) -> LocalizationResult:
    """The result of a model; what `out` holds already is not asked again."""
    from mel.hosts.load import context_length, load_tokenizer, quiet_libraries

    quiet_libraries()
    path = model_directory(critic.target.model)
    tokenizer = load_tokenizer(path, chat_template=critic.chat_template)
    asking = Asking(
        localizer=localizer,
        prompts=prompts.load(critic.prompts, ["construct" if in_view else "locate"]),
        chat=ChatTokenizer(tokenizer),
        in_view=in_view,
    )
    max_tokens = 0 if localizer in SCORING else critic.max_tokens
    prompt_ids = {one.id: asking.prompt_ids(one) for one in found.solutions}
    positions = context_length(path)
    fits = [s for s in found.solutions if positions is None or len(prompt_ids[s.id]) + max_tokens <= positions]
    found = found.only(fits, "too_long_for_the_model")
    if not fits:
        raise ValueError(
            f"{critic.target.about} has {positions} positions: no prompt of {data.source} fits beside "
            f"{max_tokens} tokens of an answer; lower --max-tokens, or use a model with more"
        )
    prompt_ids = {one.id: prompt_ids[one.id] for one in fits}
    solutions = {one.id: one for one in fits}
    problems = [Problem(id=one.id, text=one.problem, answer=str(one.first_wrong)) for one in fits]
    batch_size = critic.engine.responses_per_call(BATCH_SIZE)
    engine = open_engine(
        critic.engine,
        path,
        tokenizer,
        batch_size=batch_size,
        longest=max(map(len, prompt_ids.values())) + max_tokens,
    )
    settings = Settings(
        model=critic.target.about, weights=fingerprint(path), k=0, temperature=0.0, top_p=1.0, max_tokens=max_tokens,
        prompts=asking.name, problems=hash_problems(problems), prompt_ids=hash_ids(prompt_ids.values()),
        engine=engine.name, seed=SEED,
    )  # fmt: skip
    with evaluation_progress(console, f"localize {out.name}") as progress:
        responses = respond(
            problems,
            Judge(solutions, asking.read),
            asking.responder(engine, solutions, prompt_ids),
            settings,
            out=out,
            batch_size=batch_size,
            progress=progress,
        )
    return _result(data, localizer, found, settings, responses, in_view=in_view)


def _result(
    data: Data,
    localizer: Localizer,
    found: StepErrors,
    settings: Settings,
    responses: Sequence[Response],
    *,
    in_view: bool,
) -> LocalizationResult:
    named = {r.problem: number_in(r.detail) for r in responses}
    free = free_scores(found.solutions, names=_free(None, in_view), seed=settings.seed)
    return LocalizationResult(
        data=data.source,
        in_view=in_view,
        skipped=found.skipped,
        scores=(*by_source(localizer, found.solutions, named), *free),
        settings=settings,
        tokens=sum(r.num_tokens for r in responses),
        seconds=sum(r.seconds for r in responses),
        truncated=sum(r.is_truncated for r in responses),
        reasons=dict(Counter(r.reason for r in responses).most_common()),
        versions=dict(versions()),
    )


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
