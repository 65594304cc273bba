"""The miniature's training run as a benchmark: the same problems, policy and settings under stock TRL and under mel.

An arm is `stock` (TRL's GRPOTrainer), `none` (MELTrainer without auxiliary) or the name of a recipe, with a number
behind it where meta-experiences gather so many batches (`recommended/4`). Every run starts from the shipped policy of
world 0 with the recipe's own trainer settings.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Dataset
from transformers import PrinterCallback
from trl import GRPOTrainer

from benchmarks.turns import Turns
from mel import methods, prompts, tasks
from mel.config import Recipe, load_recipe
from mel.hosts.load import load_model, load_tokenizer
from mel.hosts.trl import MELConfig, MELTrainer
from mel.hosts.trl.problems import example_of
from mel.hosts.trl.verdicts import VerifierReward
from mel.methods import Method, Surroundings
from mel.miniature import policies
from mel.prompts.ask import PlainAsk
from mel.prompts.chat import ChatTokenizer

STOCK, WITHOUT = "stock", "none"


@dataclass(kw_only=True, slots=True)
class Run:
    """What one run of an arm took.

    Args:
        step_s: wall seconds of each optimizer step with its rollouts and logging, the first steps left out.
        cpu_s: the same in processor seconds of this process, which a busy machine disturbs less.
        tokens: completion tokens per step by phase, and those of the trained rows.
        seconds: per step by phase.
    """

    arm: str
    step_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    tokens: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def build_trainer(arm: str, *, steps: int, output: str, changes: Sequence[str] = ()) -> GRPOTrainer:
    """The trainer of an arm, ready to run."""
    name, _, gather = arm.partition("/")
    changes = [*changes, *([f"auxiliaries.meta_experience.settings.gather={gather}"] if gather else [])]
    recipe = load_recipe("grpo" if arm in (STOCK, WITHOUT) else name, changes)
    task = tasks.load(recipe.task.name, **recipe.task.options)
    prompt_set = prompts.load(task.prompt_set)
    path = str(policies.path(0))
    tokenizer = load_tokenizer(path)
    count = steps * int(recipe.trainer["per_device_train_batch_size"]) // int(recipe.trainer["num_generations"])
    dataset = Dataset.from_list([example_of(p, PlainAsk(prompts=prompt_set)(p)) for p in task.problems("train", count)])
    settings = {**recipe.trainer, "max_steps": steps, "save_strategy": "no", "logging_steps": 1, "report_to": []}
    settings |= {"output_dir": output, "disable_tqdm": True, "shuffle_dataset": False}
    if recipe.auxiliaries:
        chosen = recipe.auxiliaries[0]
        settings |= {"mel_weight": chosen.weight.kind, "mel_lambda": chosen.weight.value}
        settings |= {"mel_share": chosen.weight.share, "mel_measure_every": chosen.weight.every}
        settings |= {"mel_backward": chosen.backward, "mel_rows_per_backward": chosen.rows_per_backward}
        if chosen.weight.kind == "constant":
            settings["mel_measure_every"] = None
    shared: dict[str, Any] = {
        "model": load_model(path),
        "reward_funcs": VerifierReward(task),
        "args": MELConfig(**settings),
        "train_dataset": dataset,
        "processing_class": tokenizer,
    }
    if arm == STOCK:
        return GRPOTrainer(**shared)
    return MELTrainer(**shared, task=task, method=_method(recipe, task, tokenizer, prompt_set))


def _method(recipe: Recipe, task: Any, tokenizer: Any, prompt_set: prompts.PromptSet) -> Method:
    at = Surroundings(
        tokenizer=ChatTokenizer(tokenizer),
        prompts=prompt_set,
        steps=task.steps,
        rollout_max_tokens=int(recipe.trainer["max_completion_length"]),
        seed=recipe.seed,
        inspector=task,
    )
    return methods.build(at=at, carrier=recipe.carrier.settings, auxiliaries=[a.settings for a in recipe.auxiliaries])


def run_in_turns(arms: Sequence[str], *, steps: int, skip: int = 4) -> dict[str, Run]:
    """Train the arms step by step in turn and report what each step beyond the first `skip` took.

    The speed of a shared machine drifts by a tenth within seconds; steps that alternate see the same drift. Each arm
    has a thread of its own, of which one runs at a time, and finds every random state as it left it.
    """
    with tempfile.TemporaryDirectory() as output:
        trainers = {arm: build_trainer(arm, steps=steps + skip, output=f"{output}/{arm}") for arm in arms}
        turns = Turns(list(arms))
        for arm, trainer in trainers.items():
            trainer.remove_callback(PrinterCallback)
            trainer.add_callback(turns.callback(arm))
        turns.run({arm: trainer.train for arm, trainer in trainers.items()})
        logs = {arm: [row for row in t.state.log_history if "reward" in row][skip:] for arm, t in trainers.items()}
    found = {arm: _report(arm, trainers[arm], logs[arm]) for arm in arms}
    for arm, run in found.items():
        run.step_s = [wall for wall, _ in turns.taken[arm][skip:]]
        run.cpu_s = [cpu for _, cpu in turns.taken[arm][skip:]]
    return found


def _report(arm: str, trainer: Any, logs: Sequence[dict[str, Any]]) -> Run:
    found = Run(arm=arm, tokens=_means(logs, "tokens/"), seconds=_means(logs, "time_s/"))
    if "rollout" not in found.tokens:  # stock TRL logs the mean length of a completion only
        rollouts = trainer.args.per_device_train_batch_size * trainer.args.steps_per_generation
        found.tokens["rollout"] = sum(row["completions/mean_length"] for row in logs) / len(logs) * rollouts
    return found


def _means(logs: Sequence[dict[str, Any]], prefix: str) -> dict[str, float]:
    names = sorted({name for row in logs for name in row if name.startswith(prefix)})
    return {n.removeprefix(prefix): sum(float(row.get(n, 0.0)) for row in logs) / len(logs) for n in names}
