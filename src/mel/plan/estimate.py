"""A plan: what a recipe needs on each GPU, whether it fits, and what an optimizer step costs in tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mel.config import AuxiliarySection, Recipe
from mel.methods import WHOLE_COPY, WHOLE_SAMPLER, Assumptions, Longest
from mel.plan.activations import Activations, Pass, activations
from mel.plan.batch import Batch, batch_of
from mel.plan.beside import beside
from mel.plan.between import rewarding, scoring
from mel.plan.context import check_context, completion_limit, lengths, longest_rows, scored_sequences
from mel.plan.engine import Engine, transformers_engine, vllm_engine
from mel.plan.knobs import notes, refusal
from mel.plan.layout import Layout, assumed_layout
from mel.plan.numbers import GIB, Numbers, numbers
from mel.plan.shapes import ModelShape
from mel.plan.states import States, copies_initial, measures_gradients, states, trained
from mel.plan.tokens import Tokens, tokens_per_step

CONTEXT = 1.0 * GIB
"""CUDA context and kernels of one process."""

NETWORK = 1.0 * GIB
"""NCCL's buffers, where there is more than one process."""

MARGIN = 0.05
"""Share of the states and activations added for fragmentation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Bytes per GPU by part, tokens per step, and whether it fits.

    Args:
        training: name -> bytes while the model trains.
        generating: name -> bytes while it generates.
        scoring, rewarding: name -> bytes between these two, while log-probabilities are asked for and while a reward
            model answers; empty where that does not happen.
        limit: bytes of one GPU.
        host: bytes of a node's memory that offloading takes.
        longest: the longest sequence of each phase.
        rows: the longest row of each auxiliary.
        arms: what the ratios of tokens compare, in words: the recipe with its auxiliaries and without; empty if it
            has none.
        notes: what a person should know before starting.
        about_prompts: where the lengths of prompts and instructions are from, in words.
    """

    recipe: str
    layout: Layout
    batch: Batch
    total_parameters: int
    trained_parameters: int
    training: dict[str, float]
    generating: dict[str, float]
    scoring: dict[str, float]
    rewarding: dict[str, float]
    limit: float
    host: float
    cache_tokens: int
    engine: str
    longest: tuple[Longest, ...]
    rows: tuple[Longest | None, ...]
    arms: str
    tokens: Tokens
    assumptions: Assumptions
    notes: tuple[str, ...]
    about_prompts: str

    @property
    def moments(self) -> dict[str, dict[str, float]]:
        """Every moment that there is, by name."""
        there = {name: getattr(self, name) for name in ("training", "generating", "scoring", "rewarding")}
        return {name: parts for name, parts in there.items() if parts}

    @property
    def peak(self) -> float:
        """Bytes at the worst moment."""
        return max(sum(parts.values()) for parts in self.moments.values())

    @property
    def fits(self) -> bool:
        return self.peak <= self.limit


class DoesNotFit(ValueError):
    """A recipe that needs more memory than there is; `plan` holds the numbers."""

    def __init__(self, message: str, plan: Plan) -> None:
        super().__init__(message)
        self.plan = plan


def estimate(
    recipe: Recipe,
    shape: ModelShape,
    *,
    gpus: int,
    gpu_memory_gib: float,
    nodes: int = 1,
    layout: Layout | None = None,
    assumptions: Assumptions | None = None,
    prompt_tokens: int | None = None,
    instruction_tokens: int | None = None,
    about_prompts: str = "",
) -> Plan:
    """What the recipe needs on each of the GPUs that train.

    Args:
        gpus: per node, those of a vLLM server included.
        layout: from an accelerate configuration; None for one process, or FSDP2 over all GPUs (half of them if a
            vLLM server needs the others).
        prompt_tokens: the longest problem in its solve prompt; like `instruction_tokens`, see `check_context`.
        about_prompts: where these are from, or why they are not given.

    Raises:
        DoesNotFit: with the numbers and which knob to turn.
        ValueError: a batch, context or layout that cannot run at all.
    """
    layout = layout or _assumed(recipe, gpus, nodes)
    _check_gpus(recipe, layout, gpus * nodes)
    batch = batch_of(recipe, layout)
    prompt, instruction = lengths(shape, prompt_tokens, instruction_tokens)
    longest = check_context(recipe, shape, prompt_tokens=prompt, instruction_tokens=instruction)
    rows = longest_rows(recipe, prompt_tokens=prompt, instruction_tokens=instruction)
    _check_measuring(recipe, layout, batch)
    _check_copy(recipe, layout)
    at = assumptions or Assumptions()
    n = numbers(recipe, layout)
    held, of = states(recipe, shape, layout, n), trained(shape, recipe.model.lora, n)
    models = beside(recipe, shape, layout)
    scored = scored_sequences(recipe, prompt_tokens=prompt, instruction_tokens=instruction)
    score = scoring(recipe, shape, batch, n, scored)
    reward = rewarding(recipe, shape, batch, n, prompt_tokens=prompt)
    limit = gpu_memory_gib * GIB
    engine = engine_of(recipe, shape, batch, n, longest, limit)
    acts = peak_activations(recipe, shape, batch, n, prompt_tokens=prompt, rows=rows)
    plan = Plan(
        recipe=recipe.name,
        layout=layout,
        batch=batch,
        total_parameters=of.total,
        trained_parameters=of.trained,
        training=_training(held, models, acts, engine, layout),
        generating=_still(held, models, {}, engine.generating, layout),
        scoring=_still(held, models, score, engine.training, layout) if score else {},
        rewarding=_still(held, models, reward, engine.training, layout) if reward else {},
        limit=limit,
        host=held.host,
        cache_tokens=engine.cache_tokens,
        engine=engine.kind,
        longest=tuple(longest),
        rows=tuple(rows),
        arms=_arms(recipe),
        tokens=tokens_per_step(recipe, batch, at),
        assumptions=at,
        notes=tuple(notes(recipe, layout, n, batch)),
        about_prompts=_about(about_prompts, prompt_tokens, prompt, at),
    )
    if not plan.fits:
        moment, parts = max(plan.moments.items(), key=lambda item: sum(item[1].values()))
        why = refusal(parts, recipe, layout, batch, moment=moment, limit=limit, engine=engine.kind, rows=rows)
        raise DoesNotFit(why, plan)
    return plan


def _about(told: str, given: int | None, longest: int, at: Assumptions) -> str:
    """What was told of the prompts, with what is assumed where nobody measured them."""
    if given is not None:
        return told
    assumed = f"assumed: prompts of {at.prompt_tokens:g} tokens on average and {longest:,} at most"
    return f"{assumed} ({told})" if told else assumed


def peak_activations(
    recipe: Recipe, shape: ModelShape, batch: Batch, n: Numbers, *, prompt_tokens: int, rows: Sequence[Longest | None]
) -> Activations:
    """The peak over the policy's micro-batch and the rows'; joint rows go through together with the policy.

    Args:
        rows: the longest row of each auxiliary.
    """
    checkpointed = bool(recipe.trainer.get("gradient_checkpointing", True))
    padded = recipe.model.attention != "flash_attention_2"
    limit = completion_limit(recipe)
    lora = recipe.model.lora

    def of(count: int, tokens: int, targets: int) -> Activations:
        p = Pass(rows=count, tokens=tokens, targets=targets, is_checkpointed=checkpointed, has_padding=padded)
        return activations(shape, n, p, lora=lora)

    policy = of(batch.micro, prompt_tokens + limit, limit)
    joint: list[Activations] = []
    separate: list[Activations] = []
    for auxiliary, row in zip(recipe.auxiliaries, rows, strict=True):
        if row is None:
            continue
        per_slot = math.ceil(row.per_group * batch.local_groups / batch.slots)
        if _is_joint(auxiliary):
            joint.append(of(per_slot, row.tokens, row.completion))
        else:
            separate.append(of(min(per_slot, auxiliary.rows_per_backward), row.tokens, row.completion))
    if joint:
        # Within one backward pass a weight's gradient waits for its last part, so what came before waits whole.
        waiting = trained(shape, lora, n).trained * (4 if lora else n.model)
        policy = Activations(
            stream=policy.stream + sum(a.stream for a in joint) + waiting,
            working=max(policy.working, *(a.working for a in joint)),
        )
    return max(policy, *separate, key=lambda a: a.total) if separate else policy


def _is_joint(auxiliary: AuxiliarySection) -> bool:
    """Its rows go in the policy's own backward pass; a gradient that is measured has one of its own."""
    return auxiliary.backward == "joint" and not auxiliary.weight.measured_every


def _arms(recipe: Recipe) -> str:
    labels = [a.settings.label or a.name for a in recipe.auxiliaries]
    labels += [recipe.credit.name] if recipe.credit.settings.phases else []
    return f"{' + '.join(labels)} / {recipe.carrier.name.upper()}" if labels else ""


def engine_of(
    recipe: Recipe, shape: ModelShape, batch: Batch, n: Numbers, longest: Sequence[Longest], memory: float
) -> Engine:
    """What generation holds on a training GPU: at the longest phase of all if transformers generates."""
    trainer = recipe.trainer
    if not trainer.get("use_vllm", False):
        engines = [
            transformers_engine(shape, rows=batch.local_groups * x.per_group, tokens=x.tokens, element=n.model)
            for x in longest
        ]
        return max(engines, key=lambda e: e.generating)
    if trainer.get("vllm_mode", "colocate") == "server":
        return Engine(kind="server", generating=0.0, training=0.0, cache_tokens=0)
    parallel = int(trainer.get("vllm_tensor_parallel_size", 1))
    return vllm_engine(
        shape,
        memory=memory,
        utilization=float(trainer.get("vllm_gpu_memory_utilization", 0.3)),
        tensor_parallel=parallel,
        sequences=batch.local_rollouts * parallel,
        sleeps=bool(trainer.get("vllm_enable_sleep_mode", False)),
    )


def _training(
    held: States, models: dict[str, float], acts: Activations, engine: Engine, layout: Layout
) -> dict[str, float]:
    parts = {
        "parameters": held.parameters,
        "gradients": held.gradients,
        "gradients not yet reduced": held.unsharded,
        "rows' gradient set aside": held.set_aside,
        "optimizer": held.optimizer,
        **models,
        "copy of the initial policy": held.initial,
        "communication": held.buffers,
        "activations kept": acts.stream,
        "activations at the peak": acts.working,
    }
    return parts | {"engine": engine.training, "reserve": _reserve(sum(parts.values()), layout)}


def _still(
    held: States, models: dict[str, float], working: dict[str, float], engine: float, layout: Layout
) -> dict[str, float]:
    """Name -> bytes while the policy is not trained.

    Args:
        working: what this moment takes besides.
        engine: what the engine that generates holds then.
    """
    parts = {"parameters": held.parameters, "optimizer": held.optimizer, **models}
    parts |= {"copy of the initial policy": held.initial, "communication": held.buffers, **working}
    return parts | {"engine": engine, "reserve": _reserve(sum(parts.values()), layout)}


def _reserve(used: float, layout: Layout) -> float:
    return MARGIN * used + CONTEXT + (NETWORK if layout.processes > 1 else 0.0)


def _assumed(recipe: Recipe, gpus: int, nodes: int) -> Layout:
    total = 1 if recipe.trainer.get("use_cpu", False) else gpus * nodes
    is_server = recipe.trainer.get("use_vllm", False) and recipe.trainer.get("vllm_mode", "colocate") == "server"
    return assumed_layout(max(total // 2, 1) if is_server else total, nodes=nodes)


def _check_gpus(recipe: Recipe, layout: Layout, total: int) -> None:
    is_server = recipe.trainer.get("use_vllm", False) and recipe.trainer.get("vllm_mode", "colocate") == "server"
    if layout.processes > total - is_server:
        raise ValueError(
            f"{layout.source} starts {layout.processes} training processes"
            f"{' and the vLLM server needs a GPU of its own' if is_server else ''}, but there are {total} GPUs "
            "(--gpus x --nodes)"
        )


def _check_measuring(recipe: Recipe, layout: Layout, batch: Batch) -> None:
    if not measures_gradients(recipe):
        return
    if layout.is_deepspeed:
        raise ValueError(
            f"{layout.source}: DeepSpeed keeps gradients where they cannot be measured; use an FSDP2 or DDP "
            "configuration, or weight: {kind: constant, lambda: ...} without the diagnosis of gradients"
        )
    if batch.slots % batch.accumulation:
        raise ValueError(
            f"measuring gradients (kind: grad_norm, or a diagnosis of gradients) needs steps_per_generation "
            f"({batch.slots}) to be a multiple of gradient_accumulation_steps ({batch.accumulation}); change one, or "
            "use weight: {kind: constant, lambda: ...} without that diagnosis"
        )


def _check_copy(recipe: Recipe, layout: Layout) -> None:
    if layout.strategy in ("single", "ddp"):
        return
    if recipe.carrier.settings.samples_initial:
        raise ValueError(f"{layout.source}: {WHOLE_SAMPLER}")
    if copies_initial(recipe):
        raise ValueError(f"{layout.source}: {WHOLE_COPY}")
