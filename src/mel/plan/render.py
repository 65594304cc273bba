"""A plan as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group
from rich.table import Table
from rich.text import Text

from mel.plan.estimate import Plan
from mel.plan.numbers import GIB
from mel.plan.tokens import Tokens

_LAST = ("engine", "reserve")
"""Parts that stand below those of all moments."""


def render(plan: Plan) -> Group:
    """Memory per GPU, tokens per step, longest sequences and notes, to be printed by rich."""
    parts = [_memory(plan), _verdict(plan), _tokens(plan), _context(plan)]
    return Group(*parts, *[Text(f"note: {note}", style="yellow") for note in plan.notes])


def _memory(plan: Plan) -> Table:
    layout, batch = plan.layout, plan.batch
    table = Table(
        title=f"{plan.recipe}: {_count(plan.total_parameters)} parameters, {_count(plan.trained_parameters)} "
        f"trained; {layout.strategy}, {layout.processes} GPU{'s' if layout.processes > 1 else ''} ({layout.source})",
        caption=f"{batch.step_problems} problems x {batch.group_size} = {batch.step_rollouts} rollouts per optimizer "
        f"step: {layout.processes} GPUs x {batch.micro} rows x {batch.accumulation} micro-steps",
    )
    table.add_column("GiB per GPU")
    names: dict[str, None] = {}
    for moment, parts in plan.moments.items():
        table.add_column(moment, justify="right")
        names |= dict.fromkeys(name for name, size in parts.items() if size)
    for name in sorted(names, key=lambda n: _LAST.index(n) if n in _LAST else -1):
        sizes = (parts.get(name) for parts in plan.moments.values())
        table.add_row(name, *("" if size is None else _gib(size) for size in sizes))
    table.add_section()
    table.add_row("sum", *(_gib(sum(parts.values())) for parts in plan.moments.values()))
    return table


def _verdict(plan: Plan) -> Text:
    spare = plan.limit - plan.peak
    text = f"{plan.peak / GIB:.1f} of {plan.limit / GIB:.1f} GiB: "
    text += f"fits, {spare / GIB:.1f} GiB to spare" if plan.fits else f"does not fit, {-spare / GIB:.1f} GiB short"
    if plan.host:
        text += f"; {plan.host / GIB:.0f} GiB of each node's memory"
    if plan.cache_tokens:
        text += f"; key-value cache for {plan.cache_tokens:,} tokens at once"
    return Text(text, style="bold green" if plan.fits else "bold red")


def _tokens(plan: Plan) -> Table:
    t = plan.tokens
    table = Table(title="Tokens per optimizer step (expected)", caption=_assumed(plan))
    table.add_column("phase")
    table.add_column("tokens", justify="right")
    for name, value in _phases(t):
        table.add_row(name, f"{value:,.0f}")
    if plan.arms:
        table.add_section()
        table.add_row(f"{plan.arms}, sampled", f"{t.generated_ratio:.2f}")
        table.add_row(f"{plan.arms}, trained", f"{t.trained_ratio:.2f}")
    return table


def _assumed(plan: Plan) -> str:
    """What the column was computed from, with the recipe's limits applied: no solution is longer than a rollout."""
    at, rollout = plan.assumptions, next(item for item in plan.longest if item.phase == "rollout")
    solutions = f"assumed: solutions of {min(at.solution_tokens, rollout.completion):g} tokens"
    if not plan.arms:
        return solutions
    return (
        f"{solutions}, M of {at.experience_tokens:g} or its limit, {at.mixed_share:.0%} of groups mixed, "
        f"{at.parsed_share:.0%} parsed, {at.kept_share:.0%} of replays kept"
    )


def _phases(t: Tokens) -> Iterator[tuple[str, float]]:
    """Whatever phases there are, and what goes through the backward pass."""
    yield from ((f"{phase}, sampled", value) for phase, value in t.generated.items())
    added = [phase for phase in t.generated if phase != "rollout"]
    if added:
        yield f"{' and '.join(added)} prompts, read", t.read
    yield "policy, trained (with prompts)", t.policy + t.policy_context
    if t.row_count:
        yield "rows, trained (with contexts)", t.rows + t.row_context


def _context(plan: Plan) -> Table:
    table = Table(title="Longest sequences in tokens (worst case)", caption=plan.about_prompts)
    for name in ("phase", "prompt", "completion", "sum"):
        table.add_column(name, justify="left" if name == "phase" else "right")
    for item in (*plan.longest, *filter(None, plan.rows)):
        table.add_row(item.phase, f"{item.prompt:,}", f"{item.completion:,}", f"{item.tokens:,}")
    return table


def _gib(size: float) -> str:
    return f"{size / GIB:.2f}"


def _count(parameters: int) -> str:
    """`4.02 B`, `33 M`, `415 k`."""
    for size, unit, digits in ((1e9, "B", 2), (1e6, "M", 0)):
        if parameters >= size:
            return f"{parameters / size:.{digits}f} {unit}"
    return f"{parameters / 1e3:.0f} k"
