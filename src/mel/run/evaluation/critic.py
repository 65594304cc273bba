"""A model that is asked for first wrong steps: what fits it, the engine that answers, and the answers, resumable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from mel import prompts
from mel.evaluate.evaluation import SEED, respond
from mel.evaluate.responses import Response, Settings, hash_ids, hash_problems
from mel.evaluate.step_errors import LabelledSolution, StepErrors
from mel.prompts.chat import ChatTokenizer
from mel.record.provenance import fingerprint
from mel.report.terminal import evaluation_progress
from mel.run.evaluation.engines import Engine, EngineChoice, open_engine
from mel.run.evaluation.localizers import SCORING, Asking, Judge
from mel.run.evaluation.target import BATCH_SIZE, Target
from mel.run.prepare import named_model
from mel.stages.localize import Localizer
from mel.types import Problem, TokenIds

MAX_TOKENS = 2048
"""Of an answer, unless asked otherwise."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What a model said.

    Args:
        found: the solutions it was asked about; those too long for it are counted as skipped.
    """

    found: StepErrors
    settings: Settings
    responses: tuple[Response, ...]


def answers(
    critic: Critic, localizer: Localizer, found: StepErrors, *, in_view: bool, out: Path, console: Console
) -> Answers:
    """The model's answer about each solution; what `out` holds already is not asked again.

    Raises:
        ValueError: no such model or prompt, no solution that fits the model, or an `out` that holds other answers.
    """
    path = named_model(critic.target.model, critic.chat_template)
    prompt_set = prompts.load(critic.prompts, ["construct" if in_view else "locate"])
    from mel.hosts.load import load_tokenizer, quiet_libraries

    quiet_libraries()
    tokenizer = load_tokenizer(path, chat_template=critic.chat_template)
    asking = Asking(localizer=localizer, prompts=prompt_set, chat=ChatTokenizer(tokenizer), in_view=in_view)
    max_tokens = 0 if localizer in SCORING else critic.max_tokens
    found, prompt_ids = _fitting(found, asking, path, max_tokens)
    problems = [Problem(id=one.id, text=one.problem, answer=str(one.first_wrong)) for one in found.solutions]
    engine, batch_size = _engine(critic, path, tokenizer, longest=max(map(len, prompt_ids.values())) + max_tokens)
    settings = Settings(
        model=critic.target.about, weights=fingerprint(path), k=0, temperature=0.0, top_p=1.0, max_tokens=max_tokens,
        prompts=asking.name, problems=hash_problems(problems), prompt_ids=hash_ids(prompt_ids.values()),
        engine=engine.name, seed=SEED,
    )  # fmt: skip
    solutions: Mapping[str, LabelledSolution] = {one.id: one for one in found.solutions}
    judge, responder = Judge(solutions, asking.read), asking.responder(engine, solutions, prompt_ids)
    with evaluation_progress(console, f"localize {out.name}") as progress:
        responses = respond(problems, judge, responder, settings, out=out, batch_size=batch_size, progress=progress)
    return Answers(found=found, settings=settings, responses=tuple(responses))


def _fitting(found: StepErrors, asking: Asking, path: str, max_tokens: int) -> tuple[StepErrors, dict[str, TokenIds]]:
    """The solutions whose prompt leaves the model room for an answer, and these prompts by id."""
    from mel.hosts.load import context_length

    prompt_ids = {one.id: asking.prompt_ids(one) for one in found.solutions}
    positions = context_length(path)
    fits = [s for s in found.solutions if positions is None or len(prompt_ids[s.id]) + max_tokens <= positions]
    if not fits:
        raise ValueError(
            f"{path} has {positions} positions: no solution fits beside {max_tokens} tokens of an answer. Lower "
            f"--max-tokens, or take a model with more"
        )
    return found.only(fits, "too_long_for_the_model"), {one.id: prompt_ids[one.id] for one in fits}


def _engine(critic: Critic, path: str, tokenizer: Any, *, longest: int) -> tuple[Engine, int]:
    """The engine, as `mel eval` opens it, and answers per call."""
    batch_size = critic.engine.responses_per_call(BATCH_SIZE)
    return open_engine(critic.engine, path, tokenizer, batch_size=batch_size, longest=longest), batch_size
