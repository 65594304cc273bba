"""Run by torchrun from `test_trl_ranks`: trains every case on this rank and saves what its optimizer applied.

The same file, run as one process, gives the reference: one rank with the union batch.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ranks_diagnostics
import ranks_gathering
import tiny
import torch
import whole_table
from alike import GROUP, fixed_completions, rewards_by_place, rows_of, still, word_by_word
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from mel import prompts
from mel.hosts.trl.engine_guard import rescaled
from mel.hosts.trl.ranks import leave_group
from mel.methods import AUXILIARIES, CARRIERS, Method, Surroundings, build, credit_settings
from mel.methods.credit.outcome import Outcome as OutcomeCredit
from mel.objective import gradients
from mel.objective.weight import Constant, GradNorm
from mel.ports import Requests
from mel.prompts.chat import ChatTokenizer
from mel.requests import Score
from mel.step import RowLearning
from mel.types import Group, Outcome

LAYOUTS = {
    "accumulate_1": {"gradient_accumulation_steps": 1},
    "accumulate_2": {"gradient_accumulation_steps": 2},
    "generate_for_two_steps": {"gradient_accumulation_steps": 1, "steps_per_generation": 2},
    "accumulate_2_generate_for_two_steps": {"gradient_accumulation_steps": 2, "steps_per_generation": 4},
}
ROWS = {"unequal": (3, 1), "zero_on_one": (0, 3), "none": (0, 0)}
WEIGHTS = {
    "grad_norm": {"mel_weight": "grad_norm", "mel_share": 2.0, "mel_rows_per_backward": 2},
    "joint": {"mel_weight": "constant", "mel_lambda": 0.7, "mel_backward": "joint"},
    "separate": {"mel_weight": "constant", "mel_lambda": 0.7, "mel_backward": "separate", "mel_rows_per_backward": 1},
}


def cases() -> dict[str, tuple[dict[str, Any], tuple[int, int], dict[str, Any]]]:
    """Every layout under every distribution of rows, the weight rules in turn."""
    rules = list(WEIGHTS)
    chosen = [(layout, rows, rules[(i + j) % 3]) for i, layout in enumerate(LAYOUTS) for j, rows in enumerate(ROWS)]
    chosen.append(("accumulate_2", "unequal", "grad_norm"))
    return {f"{layout}-{rows}-{rule}": (LAYOUTS[layout], ROWS[rows], WEIGHTS[rule]) for layout, rows, rule in chosen}


LOSSES = {
    "grpo": {"loss_type": "grpo"},
    "dapo": {"loss_type": "dapo"},
    "dr_grpo": {"loss_type": "dr_grpo"},
    "gspo": {"loss_type": "grpo", "importance_sampling_level": "sequence"},
}


def changed(groups: Sequence[Group], prompt: tuple[int, ...]) -> list[Group]:
    """Of the group with that prompt alone: its second rollout replaced, and a hinted one added behind the others."""
    more = {"token_ids": (9, 12, 30, 7, 1), "reward": 0.8, "context_ids": (*prompt, 20, 21), "hint": range(2)}
    found = []
    for group in groups:
        if group.prompt_ids == prompt:
            first, second, *rest = group.rollouts
            other = replace(second, token_ids=(8, 6, 1), reward=1.5)
            group = replace(group, rollouts=(first, other, *rest, replace(first, **more)))
        found.append(group)
    return found


class Scores:
    """An auxiliary that asks for the log-probabilities of targets, and counts the passes that answer it."""

    name = "scores"

    def __init__(self, request: Score) -> None:
        self._request = request
        self.answers: list[Any] = []

    def learn(self, groups: Sequence[Group], *, step: int) -> Requests[Outcome]:
        self.answers.append((yield self._request))
        return Outcome()


def requests_of(rank: int, world: int) -> Score:
    """Five sequences on the first rank and one on the second; one rank asks for all of them."""
    targets = tuple(tuple(6 + (3 * i + k) % 30 for k in range(1 + i % 3)) for i in range(6))
    own = slice(None) if world == 1 else slice(0, 5) if rank == 0 else slice(5, 6)
    return Score(contexts=tuple((7, 8 + i) for i in range(6))[own], targets=targets[own])


def change_groups(folder: Path, rank: int, world: int) -> None:
    """The gradients of groups that are changed on one rank only, under every loss type."""
    for (name, loss), accumulation in itertools.product(LOSSES.items(), (1, 2)):
        args = still(folder, world, accumulation, **loss)
        prompt: list[tuple[int, ...]] = []

        def change(groups: Sequence[Group], prompt: list[tuple[int, ...]] = prompt) -> list[Group]:
            # The first problem of all ranks is the first of rank 0.
            prompt += [] if rank else [groups[0].prompt_ids]
            return changed(groups, prompt[0]) if prompt else list(groups)

        recorder = tiny.StepGradients()
        keywords = {"callbacks": [recorder], "rollout_func": fixed_completions, "reward_funcs": rewards_by_place}
        tiny.mel_trainer(args, tiny.Changes(change), **keywords).train()
        torch.save(recorder.steps, folder / f"changed-{name}-{accumulation}-rank{rank}.pt")


def score(folder: Path, rank: int, world: int) -> None:
    """The answers of both ranks, and how many forward passes and gathers each made for them."""
    auxiliary = Scores(requests_of(rank, world))
    trainer = tiny.mel_trainer(
        still(folder, world, 2), auxiliary, rollout_func=fixed_completions, reward_funcs=rewards_by_place
    )
    calls: Counter[str] = Counter()
    scorer = trainer._learner._scorer
    answer, gather = scorer.score, trainer.accelerator.gather

    def counted(request: Score) -> Any:
        hook = trainer.model.register_forward_pre_hook(lambda *_: calls.update(["passes"]))
        trainer.accelerator.gather = lambda value: (calls.update(["gathers"]), gather(value))[1]
        try:
            return answer(request)
        finally:
            hook.remove()
            trainer.accelerator.gather = gather

    scorer.score = counted
    trainer.train()
    torch.save({"answers": auxiliary.answers[0], "calls": dict(calls)}, folder / f"score-rank{rank}.pt")


def several(folder: Path, rank: int, world: int) -> None:
    """Two auxiliaries at different weights, the one measured, with rows of the second on one rank only."""
    rows = {"first": (3, 1), "second": (0, 2)}
    auxiliaries = []
    for name, counts in rows.items():
        everyone = [row for r in range(2) for row in rows_of(r, counts)]
        mine = rows_of(rank, counts) if world == 2 else everyone
        auxiliaries.append(tiny.RowsFrom(lambda call, mine=mine: mine))
        auxiliaries[-1].name = name
    learning = {
        "first": RowLearning(weight=GradNorm(0.5), rows_per_backward=2),
        "second": RowLearning(weight=Constant(2.0), backward="joint", reduction="token"),
    }
    recorder = tiny.StepGradients()
    keywords = {"callbacks": [recorder], "rollout_func": fixed_completions, "reward_funcs": rewards_by_place}
    tiny.mel_trainer(still(folder, world, 2), *auxiliaries, learning=learning, **keywords).train()
    torch.save(recorder.steps, folder / f"several-rank{rank}.pt")


CREDITS: dict[str, dict[str, Any]] = {
    "contrast": {"form": "rlcsd", "wrong_peers": 2, "keep_mean": False},
    "process_reward": {"source": "implicit", "learning_rate": 1e-2},
    "step_values": {"source": "monte_carlo", "samples": 2},
}
"""Rules that ask for what every rank must take part in, and their settings."""


def credit_rules(folder: Path, rank: int, world: int) -> None:
    """The policy's gradient under each rule, and that of a reward model which is learned on the way."""
    at = Surroundings(
        tokenizer=ChatTokenizer(tiny.tokenizer()),
        prompts=prompts.load("story_counts"),
        steps=word_by_word,
        rollout_max_tokens=6,
    )
    for name, settings in CREDITS.items():
        credit = credit_settings("contrast" if name == "contrast" else "process_reward", settings)
        recorder, learned = tiny.StepGradients(), []
        keywords = {"callbacks": [recorder], "rollout_func": fixed_completions, "reward_funcs": rewards_by_place}
        trainer = tiny.trainer(tiny.MELTrainer, still(folder, world, 2), method=build(at=at, credit=credit), **keywords)
        rewarder = trainer._learner.rewarder
        if rewarder is not None:
            named = list(rewarder._learned.named_parameters())
            rewarder._optimizer.register_step_pre_hook(
                lambda *_, named=named, learned=learned: learned.append({n: p.grad.clone() for n, p in named})
            )
        trainer.train()
        found = {"policy": recorder.steps, "learned": learned, "generated": trainer.state.log_history[0]}
        torch.save(found, folder / f"credit-{name}-rank{rank}.pt")


def whiten(folder: Path, rank: int, world: int) -> None:
    """The gradient of rewards that are whitened over the tokens of all ranks."""
    carrier = CARRIERS["reinforce_pp"](**{"baseline": "none", "over": "tokens"}).build(None)
    recorder = tiny.StepGradients()
    keywords = {"callbacks": [recorder], "rollout_func": fixed_completions, "reward_funcs": rewards_by_place}
    method = Method(carrier=carrier, credit=OutcomeCredit())
    tiny.trainer(tiny.MELTrainer, still(folder, world, 2), method=method, **keywords).train()
    torch.save(recorder.steps, folder / f"whiten-rank{rank}.pt")


def refill(folder: Path, rank: int, world: int) -> None:
    """What is counted where the group of the first rank is uniform at first, and that of the second is mixed."""
    judged: list[int] = []

    def at_first_alike(completions: list[Any], **columns: Any) -> list[float]:
        judged.append(len(completions))
        of = tiny.constant if rank == 0 and len(judged) == 1 else tiny.odd_first_word
        return of(completions, **columns)

    at = Surroundings(tokenizer=tiny.tokenizer(), prompts=None, steps=tuple, rollout_max_tokens=3)  # type: ignore[arg-type]
    auxiliary = AUXILIARIES["dynamic_sampling"](**{"draw": "same", "rounds": 2})
    method = Method(
        carrier=CARRIERS["grpo"]().build(at),
        credit=OutcomeCredit(),
        auxiliaries=(auxiliary.build(at),),
        settings=(auxiliary,),
    )
    trainer = tiny.trainer(tiny.MELTrainer, still(folder, world, 1), method=method, reward_funcs=at_first_alike)
    trainer.train()
    metrics = next(line for line in trainer.state.log_history if "rows/real" in line)
    torch.save({"metrics": metrics, "judged": judged}, folder / f"refill-rank{rank}.pt")


def conflicting(folder: Path, rank: int, world: int) -> None:
    """Rows of the same samples at advantages of either sign, one of which conflicts with the policy, projected."""
    for sign in (1.0, -1.0):
        parts = [rows_of(r, (3, 1)) for r in range(2)]
        mine = parts[rank] if world == 2 else [row for part in parts for row in part]
        rows = [
            replace(
                row,
                term="policy",
                advantages=(sign,) * len(row.target_ids),
                is_sampled=(True,) * len(row.target_ids),
            )
            for row in mine
        ]
        recorder = tiny.StepGradients()
        learning = {"rows_from": RowLearning(weight=GradNorm(2.0), conflict="project", rows_per_backward=2)}
        keywords = {"callbacks": [recorder], "rollout_func": fixed_completions, "reward_funcs": rewards_by_place}
        auxiliary = tiny.RowsFrom(lambda call, rows=rows: rows)
        trainer = tiny.mel_trainer(still(folder, world, 2), auxiliary, learning=learning, **keywords)
        trainer.train()
        cosine = next(line for line in trainer.state.log_history if "objective/cosine" in line)["objective/cosine"]
        torch.save(recorder.steps, folder / f"conflict{sign:+.0f}-rank{rank}.pt")
        (folder / f"cosine{sign:+.0f}-rank{rank}.json").write_text(json.dumps(cosine))


def compare_shards() -> None:
    """Norms, cosine and sums of sharded gradients (as FSDP2 holds them) are those of the whole ones."""
    mesh = init_device_mesh("cpu", (2,))
    torch.manual_seed(0)
    whole = [[torch.randn(5, 3), torch.randn(4)] for _ in range(2)]
    sharded = [[distribute_tensor(t, mesh, [Shard(0)]) for t in gradients] for gradients in whole]
    expected, found = gradients.compare(*whole), gradients.compare(*sharded)
    for name in ("left_norm", "right_norm", "cosine"):
        assert math.isclose(getattr(found, name), getattr(expected, name), rel_tol=1e-6)
    parameter = torch.nn.Parameter(distribute_tensor(torch.zeros(5, 3), mesh, [Shard(0)]))
    parameter.grad = sharded[0][0]
    gradients.add([parameter], [sharded[1][0]], factor=0.5)
    assert torch.allclose(parameter.grad.full_tensor(), whole[0][0] + 0.5 * whole[1][0])


def rescale_shards() -> None:
    """Rescaling reaches weights that FSDP2 shards, and undoes itself, whether or not it frees them after a pass."""
    ids, mesh = torch.tensor([[5, 9, 20, 33]]), init_device_mesh("cpu", (2,))
    with torch.no_grad():
        expected = tiny.model()(ids).logits
        for frees, is_warm in itertools.product((True, False), (True, False)):
            model = tiny.model()
            for part in (*model.model.layers, model):
                fully_shard(part, mesh=mesh, reshard_after_forward=frees)
            if is_warm:
                model(ids)
            with rescaled(model):
                # TRL reads shards when it pushes weights.
                assert all(isinstance(p.data, DTensor) for p in model.parameters())
                assert (model(ids).logits - expected).abs().mean() > 0.3
            assert torch.allclose(model(ids).logits, expected, atol=1e-5)


def run(folder: Path) -> None:
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    for name, (layout, counts, weight) in cases().items():
        slots = layout.get("steps_per_generation", layout["gradient_accumulation_steps"])
        args = tiny.config(
            folder / "out",
            learning_rate=0.0,
            max_grad_norm=0.0,
            max_steps=max(1, slots // layout["gradient_accumulation_steps"]),
            num_generations=GROUP,
            per_device_train_batch_size=8 // world,
            **layout,
            **weight,
        )
        everyone = [row for r in range(2) for row in rows_of(r, counts)]
        mine = rows_of(rank, counts) if world == 2 else everyone
        auxiliary = tiny.RowsFrom(lambda call, mine=mine: mine, prompts=lambda call, mine=mine: len(mine) + rank)
        recorder = tiny.StepGradients()
        trainer = tiny.mel_trainer(args, auxiliary, callbacks=[recorder], rollout_func=fixed_completions)
        assert trainer.accelerator.num_processes == world
        trainer.train()
        metrics = next(line for line in trainer.state.log_history if "rows/real" in line)
        torch.save({"steps": recorder.steps, "metrics": metrics}, folder / f"{name}-rank{rank}.pt")
    args = tiny.config(folder / "tracked", max_steps=1, per_device_train_batch_size=8 // world, report_to="tensorboard")
    tiny.mel_trainer(args, tiny.Experiences(), rollout_func=fixed_completions).train()
    change_groups(folder, rank, world)
    score(folder, rank, world)
    several(folder, rank, world)
    credit_rules(folder, rank, world)
    whiten(folder, rank, world)
    conflicting(folder, rank, world)
    ranks_gathering.train_each(folder, rank, world)
    ranks_diagnostics.train_each(folder, rank, world)
    if world == 2:
        refill(folder, rank, world)
        compare_shards()
        rescale_shards()
        whole_table.train_each(folder, rank)
    (folder / f"done-{rank}.json").write_text(json.dumps({"world": world}))
    leave_group()


if __name__ == "__main__":
    run(Path(sys.argv[1]))
