"""Kill a study with SIGKILL at random moments, give the command again, and compare its end with an undisturbed one.

    python -m benchmarks.study_kills --kills 10 --seed 0 --output runs/study-kills

The study has two recipes and two seeds of the miniature, a few steps each, with a checkpoint within every run. The
killed process is `mel study`; its runs must end with it, or they would hold the locks that the next start needs. Every
run (metrics without clocks, weights, experiences, evaluations) and the study's results must equal those of the
undisturbed study. Exit status 1 if any differs.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.sessions import differences

STUDY = """
question: Does a killed study end as an undisturbed one?
arms: {grpo: grpo, recommended: recommended}
seeds: [0, 1]
set:
  trainer.max_steps: 4
  trainer.save_steps: 2
  trainer.per_device_train_batch_size: 16
  trainer.gradient_accumulation_steps: 2
  evaluation.suites: [{name: L5, count: 32, k: 1, max_tokens: 44}]
  evaluation.every: 2
"""

CLOCKS = ("seconds", "wall", "time")
"""Parts of the names of results that measure the clock and not the runs."""


def main() -> None:
    """Run, print a line per kill and what differs, end with status 1 if something does."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.study_kills", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("runs/study-kills"))
    options = parser.parse_args()
    shutil.rmtree(options.output, ignore_errors=True)
    options.output.mkdir(parents=True)
    file = options.output / "killed.yaml"
    file.write_text(STUDY)
    undisturbed, disturbed = options.output / "undisturbed", options.output / "disturbed"
    began = time.monotonic()
    if status := start(file, undisturbed).wait():
        sys.exit(f"the undisturbed study ended with status {status}: {undisturbed}.log")
    length_s = time.monotonic() - began
    kill(file, disturbed, kills=options.kills, drawn=random.Random(options.seed), within_s=length_s / 2)
    if status := start(file, disturbed).wait():
        sys.exit(f"the killed study did not end: status {status}, {disturbed}.log")
    found = compare(undisturbed, disturbed)
    print("\n".join(found) or "every run and the results are identical", flush=True)
    sys.exit(bool(found))


def start(file: Path, output: Path) -> subprocess.Popen[bytes]:
    """The command, as a user gives it."""
    command = [sys.executable, "-m", "mel", "study", str(file), "--output", str(output), "--at-once", "2"]
    with output.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def kill(file: Path, output: Path, *, kills: int, drawn: random.Random, within_s: float) -> None:
    """Start and kill it that often; one that ends before its moment is begun anew, so that every kill meets a study."""
    done = 0
    while done < kills:
        process, wait_s = start(file, output), drawn.uniform(0, within_s)
        try:
            process.wait(wait_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            done += 1
            print(f"kill {done} after {wait_s:.1f} s: {state(output)}", flush=True)
        else:
            # Only the last cell of a finished study is removed, so that there is something left to kill.
            shutil.rmtree(output / "recommended-s1")


def state(output: Path) -> str:
    """The step that every run has logged."""
    logs = {path.name: path / "metrics.jsonl" for path in sorted(output.glob("*-s*")) if path.is_dir()}
    steps = {name: len(log.read_text().splitlines()) if log.is_file() else 0 for name, log in logs.items()}
    return ", ".join(f"{name} at {step}" for name, step in steps.items()) or "no run begun"


def compare(undisturbed: Path, disturbed: Path) -> list[str]:
    """What is not equal in the two studies, clocks aside."""
    runs = sorted(path.name for path in undisturbed.glob("*-s*") if path.is_dir())
    found = [f"{run}: {', '.join(d)}" for run in runs if (d := differences(undisturbed / run, disturbed / run))]
    then, now = (without_clocks(json.loads((path / "study.json").read_text())) for path in (undisturbed, disturbed))
    return found + (["study.json differs"] if then != now else [])


def without_clocks(value: object) -> object:
    """The same values without those that measure time."""
    if isinstance(value, dict):
        return {k: without_clocks(v) for k, v in value.items() if not any(word in str(k) for word in CLOCKS)}
    return [without_clocks(v) for v in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()
