"""`mel experiences score`: how likely the kept experiences are to the policy from before each was learned, and now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from statistics import fmean

from rich.console import Console

from mel import prompts
from mel.config import load_recipe
from mel.methods import AuxiliarySettings
from mel.ports import Scorer
from mel.prepared import Prepared
from mel.record import RunDirectory, StoredExperience
from mel.record.experience import pair_of
from mel.record.lock import only_writer
from mel.record.run_directory import RECIPE
from mel.record.store import When
from mel.requests import Score
from mel.run.evaluation.engines import EngineChoice, open_engine
from mel.run.prepare import model_directory, prepare_evaluation
from mel.types import Problem, TokenIds

BEFORE_TRAINING = "before training"

AT_ONCE = 256
"""Experiences that are scored between two lines of progress."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """A policy that scores experiences.

    Args:
        step: optimizer steps that it has learned; 0 before training.
        name: what the page calls it.
    """

    step: int
    name: str
    path: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """Means over the experiences that both policies of each scored, in nats per token; None if there were none."""

    count: int
    left_out: int
    then: float | None
    now: float | None

    @property
    def sentence(self) -> str:
        """For a person."""
        left_out = f"; {self.left_out} are left out, for their prompt cannot be made again" if self.left_out else ""
        if self.then is None or self.now is None:
            return f"no experience was scored{left_out}"
        return (
            f"NLL of {self.count:,} kept experiences, mean in nats per token: {self.then:.3f} before each was learned, "
            f"{self.now:.3f} now{left_out}"
        )


def score_experiences(run: Path, *, model: str | None = None, batch_size: int = 16, console: Console) -> Scored:
    """Writes into the run the NLL of every kept experience under the newest saved policy from before it was learned
    (`then`), and under the trained one (`now`).

    The NLL is the mean over the tokens of what the policy wrote, in nats, after the prompt that asked for it.

    Args:
        model: whose NLL is `now`; None for the run's trained model.

    Raises:
        ValueError: no trained model, no kept experience, or a prompt set that has changed since.
        RunBusyError: the run is being trained.
    """
    with RunDirectory.open(run) as directory, only_writer(run):
        now = _trained(directory) if model is None else _named(model, directory)
        kept = [e for e in directory.experiences.list(kept=True, limit=-1) if e.is_parsed]
        if not kept:
            raise ValueError(
                f"{run}: expected a run that kept experiences; it holds none, so there is nothing to score"
            )
        prepared, settings = _prepared(directory)
        rows = {e.id: row for e in kept if (row := _row(e, prepared, settings)) is not None}
        found: dict[When, dict[int, float]] = {"then": {}, "now": {}}
        for when, policy, ids in _work(kept, _before(directory, prepared), now):
            there = [number for number in ids if number in rows]
            nlls = _nlls([rows[number] for number in there], _scorer(policy, prepared, batch_size), policy, console)
            of_each = dict(zip(there, nlls, strict=True))
            found[when] |= of_each
            directory.experiences.set_nll(when, policy.name, of_each)
    both = [number for number in found["now"] if number in found["then"]]
    means = {when: fmean(values[n] for n in both) if both else None for when, values in found.items()}
    return Scored(count=len(both), left_out=len(kept) - len(rows), then=means["then"], now=means["now"])


def _prepared(directory: RunDirectory) -> tuple[Prepared, AuxiliarySettings]:
    """Task, prompts and tokenizer as the run had them, and the auxiliary that wrote the experiences."""
    recipe = load_recipe(str(directory.path / RECIPE))
    settings = next((a.settings for a in recipe.auxiliaries if a.settings.keeps_ledger), None)
    if settings is None:
        raise ValueError(f"{directory.path}: expected a recipe with an auxiliary that writes experiences; it has none")
    prepared = prepare_evaluation(recipe.with_suites([]), reads_training_set=False)
    prompt_set = prompts.load(prepared.prompt_set.name, list(settings.prompts))
    recorded = directory.environment.get("prompts")
    was = recorded.get(prompt_set.name) if isinstance(recorded, Mapping) else None
    if was not in (None, prompt_set.sha256):
        raise ValueError(
            f"{directory.path}: expected the prompt set {prompt_set.name!r} as the run had it ({was[:12]}), since the "
            f"experiences were written after its prompts; got {prompt_set.sha256[:12]}. Restore its files"
        )
    return replace(prepared, prompt_set=prompt_set), settings


def _trained(directory: RunDirectory) -> Policy:
    path, step = directory.path / "model", directory.status.step
    if not path.is_dir():
        raise ValueError(
            f"{directory.path}: expected a run with its trained model in {path}; there is none. Finish the run, or "
            f"give --model PATH, such as a checkpoint of it"
        )
    return Policy(step=step, name=f"step {step}", path=str(path))


def _named(model: str, directory: RunDirectory) -> Policy:
    # What is no model is refused here, before torch is imported.
    return Policy(step=directory.status.step, name=model, path=model_directory(model))


def _before(directory: RunDirectory, prepared: Prepared) -> list[Policy]:
    """The saved policies by step, the one before training first."""
    found = [Policy(step=0, name=BEFORE_TRAINING, path=prepared.model_path)]
    for path in directory.checkpoints.glob("checkpoint-*"):
        word = path.name.partition("-")[2]
        is_whole = any((path / name).is_file() for name in ("config.json", "adapter_config.json"))
        if word.isdecimal() and is_whole:
            found.append(Policy(step=int(word), name=f"step {word}", path=str(path)))
    return sorted(found, key=lambda policy: policy.step)


def _work(
    kept: Sequence[StoredExperience], before: Sequence[Policy], now: Policy
) -> Iterator[tuple[When, Policy, list[int]]]:
    """Which policy scores which experiences: each is loaded once."""

    def then(experience: StoredExperience) -> int:
        """Place of the newest policy that had not learned it."""
        return sum(policy.step < experience.step for policy in before) - 1

    for place, of_one in groupby(sorted(kept, key=lambda e: e.step), key=then):
        yield "then", before[place], [e.id for e in of_one]
    yield "now", now, [e.id for e in kept]


def _row(
    experience: StoredExperience, prepared: Prepared, settings: AuxiliarySettings
) -> tuple[TokenIds, TokenIds] | None:
    """The prompt that asked for the experience and its tokens; None if there is no such prompt any more."""
    problem = Problem(id=experience.problem_id, text=experience.problem, answer=experience.answer)
    prompt_ids = prepared.chat.chat(prepared.ask(problem))
    pair = pair_of(experience, prompt_ids=prompt_ids, opening=prepared.recipe.task.turns)
    context = settings.writing_context(
        pair, experience.bifurcation, tokenizer=prepared.chat, prompts=prepared.prompt_set
    )
    target = prepared.chat.encode(experience.raw)
    return (context, target) if context and target else None


def _scorer(policy: Policy, prepared: Prepared, batch_size: int) -> Scorer:
    engine = open_engine(
        EngineChoice(),
        model_directory(policy.path),
        prepared.tokenizer,
        batch_size=batch_size,
        longest=0,
        attention=prepared.recipe.model.attention,
    )
    assert engine.scorer is not None  # transformers scores
    return engine.scorer


def _nlls(rows: Sequence[tuple[TokenIds, TokenIds]], scorer: Scorer, policy: Policy, console: Console) -> list[float]:
    """Mean NLL of each row's target."""
    found: list[float] = []
    for start in range(0, len(rows), AT_ONCE):
        part = rows[start : start + AT_ONCE]
        answers = scorer.score(Score(contexts=tuple(c for c, _ in part), targets=tuple(t for _, t in part)))
        found += [-fmean(logprobs) for logprobs in answers]
        console.print(f"{policy.name}: {len(found)}/{len(rows)} experiences", highlight=False, markup=False)
    return found
