"""Train several recipes with several seeds, as many at once as there are cores, and print the table of docs/results.md.

    python -m benchmarks.study --arms grpo,grpo_extra,paper,recommended --seeds 0,1,2,3,4 --output runs/study

A run that is finished is not repeated; one that was interrupted is resumed. Each is an ordinary `mel train`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console

from mel.record import RunDirectory
from mel.report.page import build
from mel.report.terminal import results_table


def run(name: str, seed: int, output: Path, changes: list[str]) -> Path:
    """One arm with one seed, in a process of its own with one thread."""
    path = output / f"{name}-s{seed}"
    if (path / "recipe.yaml").is_file():
        if RunDirectory.open(path).status.state == "finished":
            return path
        changes = [*changes, "--resume"]
    command = [sys.executable, "-m", "mel", "train", name, "--output", str(path), "--set", f"trainer.seed={seed}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    with (output / f"{path.name}.log").open("ab") as log:
        subprocess.run([*command, *changes], check=True, stdout=log, stderr=subprocess.STDOUT, env=environment)
    return path


def main() -> None:
    """Run what is missing, seed by seed, then compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", default="grpo,grpo_extra,paper,recommended", help="the baseline first")
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--output", type=Path, default=Path("runs/study"))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--set", action="append", default=[], help="passed on to every `mel train`")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    arms, seeds = options.arms.split(","), [int(s) for s in options.seeds.split(",")]
    changes = [part for change in ["evaluation.before=false", *options.set] for part in ("--set", change)]
    with ThreadPoolExecutor(options.jobs) as pool:
        jobs = {(a, s): pool.submit(run, a, s, options.output, changes) for s in seeds for a in arms}
        paths = [jobs[a, s].result() for a in arms for s in seeds]
    console = Console(width=170)
    console.print(results_table(paths))
    console.print(f"page: {build(paths, options.output / 'report.html')}")


if __name__ == "__main__":
    main()
