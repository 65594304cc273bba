"""Kill runs with SIGKILL at random moments, resume them, and compare their ends with undisturbed runs.

    python -m benchmarks.kills --kills 50 --seed 0 --output runs/kills

Every run is `mel train recommended`, in a process of its own that is killed several times before it may end. A kill is
one of three kinds: `random` (some time after a random step, start and end included), `saving` (a checkpoint has begun
to appear) and `evaluating` (an evaluation has answered some of its problems). Metrics (without clocks), weights
(bytes), experiences and evaluations must equal those of a run that nobody disturbed. Exit status 1 if any differs.

Sessions are forked (`benchmarks.sessions`). The undisturbed runs are fresh interpreters, so that nothing hides behind
what forks share, a hash seed for example.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.sessions import Session, Sessions, differences

STEPS, KINDS = 8, ("random", "saving", "evaluating")
CHANGES = (
    f"trainer.max_steps={STEPS}",
    "trainer.save_steps=3",
    "trainer.per_device_train_batch_size=16",
    "trainer.gradient_accumulation_steps=2",
    "evaluation.suites=[{name: L5, count: 32, k: 1, max_tokens: 44}]",
    "evaluation.batch_size=16",
    "evaluation.every=4",
)
ARMS = {"1x": "trainer.steps_per_generation=2", "2x": "trainer.steps_per_generation=4"}
"""Generation batches that last for one optimizer step and for two; then every third checkpoint lies inside one."""

STEP = re.compile(r'"step": (\d+),')
POLL_S = 0.002


@dataclass(kw_only=True, slots=True)
class Run:
    """A run that is killed and resumed until it ends.

    Args:
        hits: kills by kind, and by what they met: a checkpoint or an evaluation that was not whole.
        differences: what is not as in the undisturbed run.
    """

    arm: str
    path: Path
    seed: str
    hits: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)


def main() -> None:
    """Run, print a line per run and a table, end with status 1 if a run ended differently."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=50, help="how many in all")
    parser.add_argument("--per-run", type=int, default=5, help="at most, before a run may end")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("runs/kills"))
    options = parser.parse_args()
    shutil.rmtree(options.output, ignore_errors=True)
    options.output.mkdir(parents=True)
    undisturbed = {arm: options.output / f"undisturbed-{arm}" for arm in ARMS}
    for arm, path in undisturbed.items():
        command = [sys.executable, "-m", "mel", *arguments(arm, path)]
        with path.with_suffix(".log").open("ab") as log:
            subprocess.run(command, check=True, stdout=log, stderr=log)
    runs = list[Run]()
    with Sessions() as sessions:
        lengths = {arm: forked_twin(sessions, arm, path) for arm, path in undisturbed.items()}
        while (left := options.kills - sum(run.hits["kills"] for run in runs)) > 0:
            arm = list(ARMS)[len(runs) % len(ARMS)]
            run = Run(arm=arm, path=options.output / f"run-{len(runs)}-{arm}", seed=f"{options.seed}:{len(runs)}")
            disturb(sessions, run, kills=min(left, options.per_run), length_s=lengths[arm])
            run.differences += differences(undisturbed[arm], run.path)
            runs.append(run)
            print(line(run), flush=True)
    print(table(runs), flush=True)
    sys.exit(any(run.differences for run in runs))


def arguments(arm: str, path: Path) -> list[str]:
    """Of the command line, after `mel`."""
    sets = [part for change in (*CHANGES, ARMS[arm]) for part in ("--set", change)]
    return ["train", "recommended", "--output", str(path), *sets]


def forked_twin(sessions: Sessions, arm: str, path: Path) -> float:
    """The seconds of a session that is forked and left alone; its end must be that of the fresh interpreter."""
    twin, began = path.with_name(path.name + "-forked"), time.monotonic()
    session(sessions, arm, twin).wait()
    if found := differences(path, twin):
        sys.exit(f"{twin}: a forked run that nobody disturbed differs from a fresh one: {', '.join(found)}")
    return time.monotonic() - began


def session(sessions: Sessions, arm: str, path: Path) -> Session:
    """A session that begins the run, or resumes it; a run that was killed before it had a recipe begins anew."""
    is_begun = (path / "recipe.yaml").is_file()
    if not is_begun:
        shutil.rmtree(path, ignore_errors=True)
    return sessions.start(*arguments(arm, path), *["--resume"][: int(is_begun)], log=path.with_suffix(".log"))


def disturb(sessions: Sessions, run: Run, *, kills: int, length_s: float) -> None:
    """Kill the run that often, or until it ends before a kill does, and let it end."""
    drawn = random.Random(run.seed)
    last = None
    while last is None and run.hits["kills"] < kills:
        kind = drawn.choice(KINDS)
        before = halves(run.path)
        is_time = moment(kind, run.path, drawn, length_s)
        running = session(sessions, run.arm, run.path)
        while not running.has_ended() and not is_time():
            time.sleep(POLL_S)
        if running.has_ended() or running.signal(signal.SIGKILL) != -signal.SIGKILL:
            last = running
        else:
            run.hits.update({"kills": 1, kind: 1, **met(run.path, before)})
    last = last or session(sessions, run.arm, run.path)
    if status := last.wait():
        run.differences.append(f"a session ended with status {status}")


def moment(kind: str, path: Path, drawn: random.Random, length_s: float) -> Callable[[], bool]:
    """A function that turns true when it is time to kill."""
    known, step = halves(path), drawn.randint(last_step(path), STEPS)
    delay_s = drawn.uniform(0, {"random": length_s / STEPS, "saving": 0.06, "evaluating": 0.2}[kind])
    seen_at = 0.0

    def is_seen() -> bool:
        return last_step(path) >= step if kind == "random" else bool(halves(path)[kind] - known[kind])

    def is_time() -> bool:
        nonlocal seen_at
        if not seen_at and is_seen():
            seen_at = time.monotonic()
        return bool(seen_at) and time.monotonic() - seen_at >= delay_s

    return is_time


def last_step(path: Path) -> int:
    """The last step that is logged; 0 before the first."""
    metrics = path / "metrics.jsonl"
    steps = STEP.findall(metrics.read_text()) if metrics.exists() else []
    return int(steps[-1]) if steps else 0


def halves(path: Path) -> dict[str, set[tuple[str, int]]]:
    """What is not whole now, by kind: path, and the inode of a checkpoint or the size of an evaluation's responses."""
    begun = [p for p in path.glob("checkpoints/checkpoint-*") if not (p / "trainer_state.json").exists()]
    answering = [p for p in path.glob("evaluations/*/responses.jsonl") if not (p.parent / "result.json").exists()]
    found: dict[str, set[tuple[str, int]]] = {"saving": set(), "evaluating": set()}
    for kind, paths in (("saving", begun), ("evaluating", answering)):
        for one in paths:
            try:
                found[kind].add((str(one), one.stat().st_size if kind == "evaluating" else one.stat().st_ino))
            except FileNotFoundError:
                continue
    return found


def met(path: Path, before: dict[str, set[tuple[str, int]]]) -> dict[str, int]:
    """What this kill left half done."""
    return {f"within {kind}": 1 for kind, found in halves(path).items() if found - before[kind]}


def line(run: Run) -> str:
    """One run in words."""
    hits = ", ".join(f"{kind} {count}" for kind, count in run.hits.items() if kind != "kills")
    return (
        f"{run.path.name}  seed {run.seed}  {run.hits['kills']} kills ({hits})  "
        f"{'differs: ' + ', '.join(run.differences) if run.differences else 'identical'}"
    )


def table(runs: list[Run]) -> str:
    """Kills and ends by arm."""
    columns = ("kills", *KINDS, "within saving", "within evaluating")
    lines = [f"| steps_per_generation | runs | {' | '.join(columns)} | identical |", "|---|" + "---|" * 8]
    for arm in ARMS:
        of_arm = [run for run in runs if run.arm == arm]
        sums = [str(sum(run.hits[column] for run in of_arm)) for column in columns]
        same = sum(not run.differences for run in of_arm)
        lines.append(f"| {arm} | {len(of_arm)} | {' | '.join(sums)} | {same} of {len(of_arm)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
