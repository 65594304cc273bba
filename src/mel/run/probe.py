"""`mel probe`: what a model can do before it is trained, on the problems of a task, and whether MEL can help it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

from mel.config import Recipe, load_recipe, parse_recipe
from mel.methods import Surroundings, drive
from mel.methods.probe import ProbeSetting, conclusion, effects, intervals, probe, setting_of
from mel.plan.context import completion_limit
from mel.ports import Ask, Generator, Inspectable, Noting, Requests, Scorer, Verifier
from mel.prepared import Prepared
from mel.recipe_files import changed
from mel.report.plain import as_json
from mel.requests import Generate
from mel.run.evaluation.engines import EngineChoice, open_engine
from mel.run.prepare import prepare_evaluation
from mel.run.refusals import longest_prompt
from mel.types import Completion, Problem, Sampling, TokenIds

RESULT = "probe.json"

BATCH_SIZE = 64

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeChoice:
    """What to probe with.

    Args:
        problems: so many, the first of the split.
        samples: solutions sampled of each.
        seed: of the pairs and of all sampling.
        output: directory for `probe.json`; None: nothing is written.
    """

    problems: int = 48
    samples: int = 8
    seed: int = 0
    split: str | None = None
    output: Path | None = None

    def __post_init__(self) -> None:
        if self.output is not None and (self.output / RESULT).exists():
            raise ValueError(f"{self.output / RESULT} is there already: choose another --output, or remove it")


def probe_recipe(
    model: str, *, task: str | None, recipe: str | None, chat_template: str | None, changes: Sequence[str]
) -> Recipe:
    """The recipe whose task, prompts and construction count, with the model to probe in it.

    Raises:
        ValueError: not one of a task and a recipe, or a change to what is not there.
    """
    if (task is None) == (recipe is None):
        raise ValueError("mel probe: expected --task NAME or --recipe FILE, one of the two: it says what is asked")
    if recipe is None:
        table: dict[str, Any] = {"name": "probe", "model": {"path": model}, "task": {"name": task}}
        base = parse_recipe(changed(table, changes), source="mel probe")
    else:
        base = load_recipe(recipe, changes)
    of_model = {"path": model} | ({"chat_template": chat_template} if chat_template else {})
    return base.model_copy(update={"model": base.model.model_copy(update=of_model)})


def probe_model(recipe: Recipe, choice: ProbeChoice, engine: EngineChoice, *, console: Console) -> dict[str, Any]:
    """Every figure with its interval, the differences that notes make, and the conclusion; printed and written.

    Raises:
        ValueError: no such model or task, or prompts that leave no room for a solution.
    """
    engine.check_installed()
    if choice.output is not None:
        choice.output.mkdir(parents=True, exist_ok=True)
    recipe = _of_problems(recipe, choice)
    prepared = prepare_evaluation(recipe, reads_training_set=True, prompt_files=["construct", "replay"])
    task, split, problems = prepared.task, recipe.task.split, prepared.problems
    if not problems:
        raise ValueError(f"mel probe: split {split!r} of task {recipe.task.name} holds no problem")
    from mel.hosts.load import context_length

    positions = context_length(prepared.model_path)
    at = _surroundings(prepared, problems, choice, positions)
    batch_size = engine.responses_per_call(BATCH_SIZE)
    opened = open_engine(
        engine,
        prepared.model_path,
        prepared.tokenizer,
        batch_size=batch_size,
        longest=positions or 0,
        attention=recipe.model.attention,
    )
    setting = setting_of(
        [auxiliary.settings for auxiliary in recipe.auxiliaries],
        samples=choice.samples,
        noting=task if isinstance(task, Noting) else None,
        scores_tokens=opened.scorer is not None,
        positions=positions,
    )
    begin = time.monotonic()
    answering = Answering(opened.generator, seed=choice.seed, batch_size=batch_size, console=console)
    about = {
        "model": prepared.model_path,
        "task": recipe.task.name,
        "split": split,
        "problems": len(problems),
        "samples": choice.samples,
        "attempts": setting.attempts,
        "seed": choice.seed,
        "prompts": prepared.ask.name,
        "engine": opened.name,
    }
    found = probed(problems, prepared.ask, at, setting, answering, prepared.verifier, opened.scorer)
    about |= {"tokens": answering.tokens, "seconds": round(time.monotonic() - begin, 1)}
    result = about | found
    if choice.output is not None:
        (choice.output / RESULT).write_text(as_json(result) + "\n", encoding="utf-8")
    _show(result, console)
    return result


def probed(
    problems: Sequence[Problem],
    ask: Ask,
    at: Surroundings,
    setting: ProbeSetting,
    answering: Answering,
    verifier: Verifier,
    scorer: Scorer | None,
) -> dict[str, Any]:
    """The figures of a probe as plain values: `pairs`, `scores`, `effects`, `answer` and `verdict`."""
    result = drive(answering.watch(probe(problems, ask, at, setting)), answering, verifier, scorer)
    said = conclusion(result.scores, pairs=result.pairs)
    plain: Callable[[Any], dict[str, Any]] = lambda scores: {k: s and asdict(s) for k, s in scores.items()}  # noqa: E731
    return {
        "pairs": result.pairs,
        "scores": plain(intervals(result.scores)),
        "effects": plain(effects(result.scores)),
        "answer": said.answer,
        "verdict": said.sentence,
    }


class Answering:
    """A generator that says how far it is, by phase, and counts its tokens; every call is seeded.

    Args:
        batch_size: prompts between two lines of progress.
    """

    def __init__(self, generator: Generator, *, seed: int, batch_size: int, console: Console) -> None:
        self._generator, self._seed, self._size, self._console = generator, seed, batch_size, console
        self._phase, self._calls = "", 0
        self.tokens = 0

    def watch(self, requests: Requests[T]) -> Requests[T]:
        """The same requests and answers; what is being asked for is noted."""
        try:
            request = next(requests)
            while True:
                self._phase = request.phase if isinstance(request, Generate) else ""
                request = requests.send((yield request))
        except StopIteration as stop:
            return stop.value

    def generate(self, prompts: Sequence[TokenIds], sampling: Sampling) -> list[Completion]:
        """One completion per prompt, in order."""
        found: list[Completion] = []
        begin = time.monotonic()
        for start in range(0, len(prompts), self._size):
            self._calls += 1
            seeded = replace(sampling, seed=self._seed * 1_000_003 + self._calls)
            found += self._generator.generate(prompts[start : start + self._size], seeded)
            taken = time.monotonic() - begin
            ahead = len(prompts) - len(found)
            left = f", {taken / len(found) * ahead:.0f} s left" if ahead else ""
            self._console.print(
                f"{self._phase}: {len(found)}/{len(prompts)} in {taken:.0f} s{left}", highlight=False, markup=False
            )
        self.tokens += sum(len(c.token_ids) for c in found)
        return found


def _of_problems(recipe: Recipe, choice: ProbeChoice) -> Recipe:
    """The recipe with the problems to probe with as its training set, and nothing to evaluate on."""
    task = recipe.task.model_copy(update={"split": choice.split or recipe.task.split, "count": choice.problems})
    return recipe.with_suites([]).model_copy(update={"task": task})


def _surroundings(
    prepared: Prepared, problems: Sequence[Problem], choice: ProbeChoice, positions: int | None
) -> Surroundings:
    recipe, task = prepared.recipe, prepared.task
    longest, limit = longest_prompt(problems, prepared.ask, prepared.chat), completion_limit(recipe)
    room = limit if positions is None else positions - longest
    if room < 1:
        raise ValueError(
            f"mel probe: the longest prompt has {longest} tokens and the model {positions} positions, which leaves no "
            "room for a solution: take shorter problems, or another model"
        )
    # Continued from inside a solution, an attempt needs up to a whole one before it.
    if positions is not None and "max_completion_length" not in recipe.trainer:
        limit = min(limit, max(room // 2, 1))
    return Surroundings(
        tokenizer=prepared.chat,
        prompts=prepared.prompt_set,
        steps=task.steps,
        rollout_max_tokens=min(limit, room),
        rollout_temperature=float(recipe.trainer.get("temperature", 1.0)),
        rollout_top_p=float(recipe.trainer.get("top_p", 1.0)),
        seed=choice.seed,
        inspector=task if isinstance(task, Inspectable) else None,
    )


def _show(result: dict[str, Any], console: Console) -> None:
    table = Table("figure", "mean", "95 %", "problems")
    for section in ("scores", "effects"):
        for name, score in result[section].items():
            if score is None:
                table.add_row(name, "-", "", "0")
                continue
            table.add_row(
                name, f"{score['value']:.3f}", f"{score['low']:.3f} to {score['high']:.3f}", str(score["problems"])
            )
        table.add_section()
    title = f"{result['model']} on {result['task']}: {result['problems']} problems, {result['pairs']} pairs"
    console.print(title, soft_wrap=True, highlight=False, markup=False)
    console.print(table)
    console.print(f"{result['tokens']:,} tokens, {result['seconds']:.0f} s ({result['engine']})", highlight=False)
    console.print(result["verdict"], soft_wrap=True, highlight=False)
