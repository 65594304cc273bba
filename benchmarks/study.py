"""Train several recipes with several seeds, as many at once as there are cores, and print the table of docs/results.md.

    python -m benchmarks.study --arms grpo,grpo_extra,paper,recommended --seeds 0,1,2,3,4 --output runs/study

A run that is finished is not repeated; one that was interrupted is resumed. Each is an ordinary `mel train`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from mel.report.arms import read_arms
from mel.report.comparison import Cell, Comparison, compare
from mel.report.page import build
from mel.report.results_table import results_table
from mel.run.arms import Arm, train_arms


def markdown(paths: list[Path]) -> str:
    """The study as Markdown: each arm against the first, the last two against each other by seed, and every seed."""
    arms = read_arms(paths)
    lines = [*_table(compare(arms)), ""]
    extra = [arm for arm in arms if arm.name.endswith("_extra")]
    for baseline in extra:
        others = [arm for arm in arms if arm.name not in (arms[0].name, baseline.name)]
        lines += [f"The same against `{baseline.name}`:", "", *_table(compare([baseline, *others])), ""]
    lines += [
        "| arm | seed | Pass@1 | Avg@8 | Pass@8 | L8 Pass@1 | tokens | retention | localization |",
        "|---|" + "---|" * 8,
    ]
    for arm in arms:
        for run in arm.runs:
            five, eight = run.after["L5"], run.after["L8"]
            scores = [five.pass_at_1, five.average_at_k, five.pass_at_k, eight.pass_at_1]
            cells = ["-" if s is None else f"{100 * s.value:.1f}" for s in scores]
            ledger = run.ledger
            kept = f"{ledger.kept / ledger.replayed:.2f}" if ledger.replayed else "-"
            located = f"{ledger.located / ledger.locatable:.2f}" if ledger.locatable else "-"
            tokens = f"{run.last('tokens/generated') or 0:,.0f}"
            lines.append(f"| {arm.name} | {run.seed} | {' | '.join(cells)} | {tokens} | {kept} | {located} |")
    return "\n".join(lines) + "\n"


def _table(comparison: Comparison) -> list[str]:
    names = [f"{c.evaluation} {c.label}" for c in comparison.columns]
    lines = [f"| arm | seeds | {' | '.join(names)} | tokens |", "|---|---|" + "---|" * (len(names) + 1)]
    for row in comparison.rows:
        tokens = "-" if row.tokens is None else f"{row.tokens:,.0f}"
        lines.append(f"| `{row.arm}` | {len(row.seeds)} | {' | '.join(_cell(c) for c in row.cells)} | {tokens} |")
    return lines


def _cell(cell: Cell) -> str:
    if cell.score is None:
        return "-"
    text = f"{100 * cell.score.value:.1f}"
    if cell.difference is None:
        return text
    d = cell.difference
    return f"{text} ({100 * d.value:+.1f}, {100 * d.low:+.1f} to {100 * d.high:+.1f})"


def _arm(recipe: str, seed: int, options: argparse.Namespace) -> Arm:
    name = f"{recipe}-s{seed}"
    changes = (f"trainer.seed={seed}", "evaluation.before=false", *options.set)
    return Arm(name=name, recipe=recipe, path=options.output / name, changes=changes)


def main() -> None:
    """Run what is missing, seed by seed, then compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", default="grpo,grpo_extra,paper,recommended", help="the baseline first")
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--output", type=Path, default=Path("runs/study"))
    parser.add_argument("--set", action="append", default=[], help="passed on to every `mel train`")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    recipes, seeds = options.arms.split(","), [int(s) for s in options.seeds.split(",")]
    console = Console(width=170)
    train_arms([_arm(recipe, seed, options) for seed in seeds for recipe in recipes], console=console)
    paths = [options.output / f"{recipe}-s{seed}" for recipe in recipes for seed in seeds]
    (options.output / "study.md").write_text(markdown(paths), encoding="utf-8")
    console.print(results_table(paths))
    console.print(f"page: {build(paths, options.output / 'report.html')}")


if __name__ == "__main__":
    main()
