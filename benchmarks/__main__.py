"""`make bench`: what mel costs, as a table on the terminal and as JSON under runs/bench/.

python -m benchmarks [--only overhead,recipes,rollouts,search,page] [--steps 40] [--output runs/bench]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PARTS = ("overhead", "recipes", "rollouts", "search", "page")


def main() -> None:
    """Run the parts asked for, print a table each, write one JSON file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", default=",".join(PARTS), help="parts, comma-separated: " + ", ".join(PARTS))
    parser.add_argument("--steps", type=int, default=40, help="measured optimizer steps per arm")
    parser.add_argument("--output", type=Path, default=Path("runs/bench"))
    options = parser.parse_args()
    chosen = options.only.split(",")
    if unknown := sorted(set(chosen) - set(PARTS)):
        parser.error(f"--only: expected some of {', '.join(PARTS)}; got {', '.join(unknown)}")
    found: dict[str, Any] = {"environment": _environment()}
    _quiet()
    if "overhead" in chosen:
        found["overhead"] = _overhead(options.steps)
    if "recipes" in chosen:
        found["recipes"] = _recipes(options.steps)
    if "rollouts" in chosen:
        found["rollouts"] = _rollouts()
    if "search" in chosen:
        found["search"] = _search()
    if "page" in chosen:
        found["page"] = _page()
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    path.write_text(json.dumps(found, indent=2) + "\n")
    print(f"\nwritten: {path}")


def _overhead(steps: int) -> dict[str, Any]:
    from benchmarks.overhead import without_auxiliary

    found = without_auxiliary(steps=steps)
    print("\nNo auxiliary against stock TRL, same rollouts bit for bit (target: at most 1.02)")
    for clock in ("wall", "cpu"):
        ratio = found[clock]
        spread = f"{ratio['low']:.3f} to {ratio['high']:.3f}"
        print(f"  {clock:5} x {ratio['median']:.3f}  ({spread}, median over {steps} steps)")
    return found


def _recipes(steps: int) -> dict[str, Any]:
    from benchmarks.overhead import with_auxiliary

    found = with_auxiliary(steps=steps)
    print("\nRecipes against GRPO, per optimizer step")
    print("  arm             wall s   x wall    x cpu   generated (x)     trained (x)")
    for arm, row in found["arms"].items():
        wall, cpu = (f"{row[c]['median']:.2f}" if c in row else "1" for c in ("wall", "cpu"))
        more = [f"{row[k]:6.0f} ({row.get(k + '_ratio', 1.0):.2f})" for k in ("generated", "trained")]
        print(
            f"  {'grpo' if arm == 'none' else arm:14}{row['seconds_per_step']:8.2f}{wall:>9}{cpu:>9}   "
            + "    ".join(more)
        )
    print("  seconds by phase: ")
    for arm, row in found["arms"].items():
        phases = "  ".join(f"{phase} {s:.3f}" for phase, s in row["seconds"].items())
        print(f"  {'grpo' if arm == 'none' else arm:14}  {phases}")
    return found


def _rollouts() -> list[dict[str, Any]]:
    from benchmarks.rollouts import rollouts

    print(
        "\nRollouts, tokens per second: the host's generation path against the hand-written loop (target: at least 0.7)"
    )
    print("  dtype     sequences     host     loop   ratio   ratio by cpu   greedy agreement")
    found = []
    for dtype in ("float32", "bfloat16"):
        for sequences in (16, 64, 256):
            row = rollouts(dtype, sequences=sequences, batches=6)
            found.append(row)
            print(
                f"  {dtype:10}{sequences:9}{row['host_tokens_per_s']:9.0f}{row['loop_tokens_per_s']:9.0f}"
                f"{row['ratio']:8.2f}{row['cpu_ratio']:15.2f}{row['greedy_agreement']:19.4f}"
            )
    return found


def _search() -> dict[str, Any]:
    from benchmarks.search import search

    found = search()
    size = f"{found['experiences']:,} experiences, {found['mb']:.0f} MB, indexed in {found['index_s']:.1f} s"
    print(f"\nOne page of full-text search over {size} (target: at most 100 ms)")
    for name, row in found["ms"].items():
        print(f"  {name:26}{row['median']:7.1f} ms{row['matches']:10,} matches")
    return found


def _page() -> dict[str, Any]:
    from benchmarks.page import page

    found = page()
    runs = f"{found['arms']} arms x {found['seeds']} seeds, {found['steps']} steps"
    print(f"\nThe page of {runs} in Chromium (targets: below 5 MB, open in less than 2 s)")
    print("  texts     MB  made: cpu s  opened at  wall s  cpu s  its own thread: cpu s")
    for name, row in found["texts"].items():
        for window, opened in row["opened_s"].items():
            print(
                f"  {name:6}{row['mb']:6.2f}{row['made_s']['cpu']:13.1f}  {window:9}{opened['wall']:8.2f}"
                f"{opened['cpu']:7.2f}{opened['thread']:23.2f}"
            )
    return found


def _quiet() -> None:
    """Only our own tables on the terminal; one thread, as every process of mel."""
    import torch
    from transformers.utils import logging

    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)


def _environment() -> dict[str, Any]:
    import torch
    import transformers
    import trl

    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "time": time.strftime("%Y-%m-%d %H:%M:%S %Z"),
        "commit": commit or None,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "trl": trl.__version__,
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
    }


if __name__ == "__main__":
    main()
