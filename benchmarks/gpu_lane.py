"""Everything that wants a GPU, in one script with a time limit: checks, the pretrained model, timing, a study.

    python -m benchmarks.gpu_lane --gguf SmolLM2-135M-Instruct.Q4_1.gguf --limit 540 --output gpu_lane
    python -m benchmarks.gpu_lane --gguf ... --device cpu --tiny --limit 1500      (a trial on two cores)

Phases, in the order of `PHASES`; one that fails is reported and does not stop the next. Everything is printed as it
happens and kept under ``--output`` as it is there: `results.json`, and of the study `metrics.jsonl.gz` (a line a
step), `evaluations.json` (with the score of every problem) and `experiences.jsonl.gz`; no weights. Each job is a
process of its own. The runs of the study share the GPU, since decoding waits for launches and leaves it idle; they all
stop after the same number of steps, which is settled by how fast they turn out to be, so that they are evaluated
before the limit.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sqlite3
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PHASES = ("environment", "miniature", "model", "timing", "probe", "study", "gpu_check")
ARMS = ("grpo", "paper", "recommended", "distilled")
POLL_S = 3.0


@dataclass(kw_only=True)
class Job:
    """One process, its log, and what is read of its run directory."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    run: Path
    started: float
    seen: dict[int, float] = field(default_factory=dict)

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def look(self) -> None:
        """Notes when each step was first seen."""
        for row in metrics_of(self.run):
            if "reward/mean" in row:
                self.seen.setdefault(int(row["step"]), time.monotonic())

    @property
    def step(self) -> int:
        return max(self.seen, default=0)

    @property
    def step_s(self) -> float | None:
        """Seconds per step, without the first."""
        first = min(self.seen, default=0)
        return (self.seen[self.step] - self.seen[first]) / (self.step - first) if self.step > first else None


class Lane:
    """The phases with what they share: options, deadline, results."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.out = options, options.output
        self.began = time.monotonic()
        self.deadline = self.began + options.limit
        self.results: dict[str, Any] = {"options": {k: str(v) for k, v in vars(options).items()}}
        self.work = Path("runs/gpu_lane_work")
        self.background: list[Job] = []
        self.at_once = options.at_once

    def left(self) -> float:
        return self.deadline - time.monotonic()

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self.began:5.0f} s] {text}", flush=True)

    def keep(self, name: str, value: Any) -> None:
        self.results[name] = value
        self.out.mkdir(parents=True, exist_ok=True)
        (self.out / "results.json").write_text(json.dumps(self.results, indent=1, default=str) + "\n")

    def start(self, name: str, *arguments: str, run: Path | None = None) -> Job:
        self.work.mkdir(parents=True, exist_ok=True)
        log = self.work / f"{name}.log"
        with log.open("wb") as file:
            process = subprocess.Popen([sys.executable, *arguments], stdout=file, stderr=subprocess.STDOUT)
        return Job(name=name, process=process, log=log, run=run or self.work / name, started=time.monotonic())

    def job(self, name: str, **spec: Any) -> Job:
        """A process that does one thing of `benchmarks.gpu_jobs`: `train`, `timing` or `miniature`."""
        return self.start(name, "-m", "benchmarks.gpu_jobs", json.dumps(spec))

    def wait(self, job: Job, *, reserve_s: float = 0.0) -> str:
        """The job's output once it has ended; it is stopped where ``reserve_s`` before the limit is reached."""
        try:
            code = job.process.wait(timeout=max(1.0, self.left() - reserve_s))
        except subprocess.TimeoutExpired:
            job.process.kill()
            code = "stopped at the limit"
        text = job.log.read_text(errors="replace")
        self.say(f"{job.name}: ended with {code} after {time.monotonic() - job.started:.0f} s")
        if code != 0:
            print("\n".join(text.splitlines()[-25:]), flush=True)
        return text

    def run(self, name: str, *arguments: str, reserve_s: float = 0.0) -> str:
        return self.wait(self.start(name, *arguments), reserve_s=reserve_s)

    # Phases

    def environment(self) -> None:
        """Versions, cores, the card, and `mel doctor`."""
        code = (
            "import os, sys, torch, transformers, trl; print('python', sys.version.split()[0], 'torch', "
            "torch.__version__, 'transformers', transformers.__version__, 'trl', trl.__version__, 'cores', "
            "os.cpu_count());"
            "print(*[torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())])"
        )
        self.background.append(self.start("doctor", "-m", "mel", "doctor"))
        text = self.run("versions", "-c", code)
        print(text, flush=True)
        self.keep("environment", text.splitlines())

    def miniature(self) -> None:
        """Two steps of `recommended` on the device and on the CPU, sampled by the same random numbers."""
        places = {"cpu": "cpu", "device": self.options.device}
        jobs = {
            key: self.job(f"miniature-{key}", miniature={"device": place, "run": str(self.work / f"miniature-{key}")})
            for key, place in places.items()
        }
        for job in jobs.values():
            self.wait(job)
        rows = {key: {r["step"]: r for r in metrics_of(self.work / f"miniature-{key}")} for key in jobs}
        differences: dict[str, float] = {}
        for step, row in rows["cpu"].items():
            for name, value in row.items():
                if isinstance(value, float | int) and not name.startswith(("time_s", "profiling", "train_", "step")):
                    other = rows["device"].get(step, {}).get(name)
                    differs = abs(other - value) if isinstance(other, float | int) else float("inf")
                    differences[name] = max(differences.get(name, 0.0), differs / max(1.0, abs(value)))
        worst = dict(sorted(differences.items(), key=lambda item: -item[1])[:8])
        self.say(f"miniature, device against CPU: {len(differences)} metrics, largest differences {worst}")
        self.keep("miniature", {"compared": len(differences), "largest_differences": worst, "rows": rows})

    def model(self) -> None:
        """Import and warm-up."""
        o, tiny = self.options, self.options.tiny
        base, policy = str(o.base), str(o.policy)
        if not o.base.exists():
            print(self.run("import", "-m", "mel", "import", str(o.gguf), "--output", base)[-400:], flush=True)
        if not o.policy.exists():
            steps = ("--steps", "2") if tiny else ()
            text = self.run(
                "warm-up", "-m", "mel", "tales", "warm-up", base, "--output", policy, "--device", o.device, *steps
            )
            print("\n".join(text.splitlines()[-4:]), flush=True)
            self.keep("warm_up", [line for line in text.splitlines() if line.startswith(("step", "wrote"))])

    def timing(self) -> None:
        """A few steps of GRPO and of MEL alone: seconds by phase, their ratio, peak memory against the plan."""
        steps, found = (1, {}) if self.options.tiny else (4, {})
        runs = {arm: str(self.work / f"timing-{arm}") for arm in ("grpo", "recommended")}
        changes = [f"trainer.max_steps={steps}", "evaluation={}", *self._shape()]
        specs = [{"recipe": f"smollm2_{arm}", "changes": changes, "run": run} for arm, run in runs.items()]
        sets = [x for change in self._shape() for x in ("--set", change)]
        plans = {
            arm: self.start(f"plan-{arm}", "-m", "mel", "plan", f"smollm2_{arm}", "--gpus", "1", *sets) for arm in runs
        }
        text = self.wait(self.job("timing", timing=specs), reserve_s=0.5 * self.left())
        for arm, run in runs.items():
            rows = [r for r in metrics_of(Path(run)) if "reward/mean" in r]
            later = rows[1:] or rows
            names = {n for r in later for n in r if n.startswith(("time_s/", "tokens/", "experience/", "reward/"))}
            found[arm] = {n: sum(r.get(n, 0.0) for r in later) / len(later) for n in sorted(names)} if later else {}
            phases = {n: round(v, 2) for n, v in found[arm].items() if n.startswith("time_s/") and "total" not in n}
            self.say(f"timing {arm}: {phases}, sum {sum(phases.values()):.2f} s a step")
        peaks = [json.loads(line[5:]) for line in text.splitlines() if line.startswith("peak ")]
        planned = {arm: self.wait(job) for arm, job in plans.items()}
        print(*peaks, *planned.values(), sep="\n", flush=True)
        self.keep("timing", {"by_arm": found, "peak_bytes": peaks, "plans": planned})
        self.at_once = self._room(max([peak["reserved"] for peak in peaks], default=0))

    def _room(self, peak_bytes: int) -> int:
        """How many runs the GPU holds at once, each with its own context beside what was measured."""
        if self.options.device == "cpu" or not peak_bytes:
            return self.options.at_once
        ask = ("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits")
        total_mib = float(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.splitlines()[0])
        room = int(0.87 * total_mib / (peak_bytes / 2**20 + 800))
        self.say(f"{room} runs fit the GPU at once by the measured peak of {peak_bytes / 2**30:.1f} GiB")
        return max(1, min(self.options.at_once, room))

    def probe(self) -> None:
        """The probe before and after the warm-up, and the evaluation before training; on a GPU beside the study."""
        o, tiny = self.options, self.options.tiny
        base, policy = str(o.base), str(o.policy)
        size = ("--problems", "4", "--samples", "4") if tiny else ("--problems", "64", "--batch-size", "512")
        asked = ("--recipe", "smollm2_recommended", "--split", "test", "--dtype", "float32")
        for name, model in (("base", base), ("warm", policy)):
            arguments = ("-m", "mel", "probe", model, *asked, *size, "--output", str(self.work / f"probe-{name}"))
            self.background.append(self.start(f"probe-{name}", *arguments))
            if tiny:
                self.wait(self.background[-1])
        arguments = ("-m", "mel", "eval", policy, "--recipe", "smollm2_grpo", "--dtype", "float32", "--no-overlap")
        sets = [x for change in self._evaluation() for x in ("--set", change)]
        where = ("--output", str(self.work / "before"), "--batch-size", "576")
        self.background.append(self.start("before", *arguments, *sets, *where))
        if tiny:
            self.wait(self.background[-1])
            self.collect([])

    def study(self) -> None:
        """Arms x seeds at once, to the same step, each evaluated at its end."""
        o = self.options
        waiting = [(arm, seed) for seed in range(o.seeds) for arm in o.arms.split(",")]
        stop, reserve_s = self.work / "stop_at", 20.0 if o.tiny else o.evaluation_s
        jobs: list[Job] = []
        while (waiting or any(j.is_alive for j in jobs)) and self.left() > 4:
            while waiting and sum(j.is_alive for j in jobs) < self.at_once and self.left() > reserve_s + 30:
                jobs.append(self._study_job(*waiting.pop(0), stop))
            time.sleep(POLL_S)
            self._settle(jobs, stop, reserve_s)
            if int(time.monotonic() - self.began) % 20 < POLL_S:
                self.collect(jobs)
                self.say("study: " + ", ".join(f"{j.name} {j.step}{'' if j.is_alive else ' done'}" for j in jobs))
        for job in [*jobs, *self.background]:
            if job.is_alive:
                job.process.kill()
        self.collect(jobs)
        for job in jobs:
            if not (job.run / "evaluations").exists() and job.process.returncode:
                print(job.name, *job.log.read_text(errors="replace").splitlines()[-12:], sep="\n", flush=True)

    def _study_job(self, arm: str, seed: int, stop: Path) -> Job:
        name = f"{arm}-s{seed}"
        changes = [
            f"trainer.max_steps={self.options.steps}",
            f"trainer.seed={seed}",
            *self._shape(),
            *self._evaluation(),
        ]
        changes += ["evaluation.before=false"]
        spec = {"recipe": f"smollm2_{arm}", "changes": changes, "run": str(self.work / name), "stop": str(stop)}
        return self.job(name, train=spec)

    def _settle(self, jobs: list[Job], stop: Path, reserve_s: float) -> None:
        """Writes after which step all are to stop; it can change until the first of them gets there."""
        for job in jobs:
            job.look()
        alive = [j for j in jobs if j.is_alive]
        agreed = int(stop.read_text()) if stop.exists() else self.options.steps
        if any(j.step >= agreed for j in jobs) or not alive or any(j.step < 3 for j in alive):
            return
        left = self.left() - reserve_s
        reach = min(j.step + int(left / (j.step_s or 1.0)) for j in alive)
        target = max(1, min(self.options.steps, reach, 10_000), max(j.step for j in jobs) + 1)
        target = min(target, self.options.steps)
        if target != agreed:
            self.say(f"study: all runs are to stop after step {target}")
            stop.with_suffix(".new").write_text(str(target))
            os.replace(stop.with_suffix(".new"), stop)

    def gpu_check(self) -> None:
        """Random weights of 0.6 billion parameters: peak memory against the plan and the ratio of MEL to GRPO."""
        if self.left() < (20 if self.options.tiny else 75):
            self.say("gpu_check: no time is left for it")
            return
        size = "small" if self.options.device == "cpu" else "0.6B"
        arms = "grpo" if self.options.tiny else "grpo;mel, separate rows"
        self.say(f"gpu_check: {size}")
        text = self.run(
            "gpu_check", "-m", "benchmarks.gpu_check", "--size", size, "--device", self.options.device, "--steps", "2",
            "--arms", arms, "--output", str(self.work),
        )  # fmt: skip
        print(text[-1500:], flush=True)
        self.keep("gpu_check", text.splitlines()[-12:])

    # What the phases share

    def _shape(self) -> list[str]:
        """The recipes' batch as this machine is to see it."""
        o = self.options
        problems, per_device = (2, 16) if o.tiny else (o.problems, o.per_device)
        return [
            f"model.path={o.policy}",
            f"trainer.use_cpu={str(o.device == 'cpu').lower()}",
            f"trainer.per_device_train_batch_size={per_device}",
            f"trainer.gradient_accumulation_steps={problems * 8 // per_device}",
            f"trainer.learning_rate={o.learning_rate}",
            "trainer.save_strategy='no'",
            "output.save_final=false",
        ]

    def _evaluation(self) -> list[str]:
        count, k = (4, 2) if self.options.tiny else (64, 8)
        sizes = [f"evaluation.suites.{i}.{key}={value}" for i in (0, 1) for key, value in (("count", count), ("k", k))]
        return [*sizes, "evaluation.batch_size=576"]

    def collect(self, jobs: list[Job]) -> None:
        """Brings together what the runs have so far, in few small files."""
        self.out.mkdir(parents=True, exist_ok=True)
        with gzip.open(self.out / "metrics.jsonl.gz", "wt") as file:
            for job in jobs:
                for row in metrics_of(job.run):
                    file.write(json.dumps({"run": job.name, **row}) + "\n")
        with gzip.open(self.out / "experiences.jsonl.gz", "wt") as file:
            for job in jobs:
                for row in experiences_of(job.run):
                    file.write(json.dumps({"run": job.name, **row}) + "\n")
        found = {
            path.parent.name: json.loads(path.read_text()) for path in sorted(self.work.glob("probe-*/probe.json"))
        }
        for name, run in [("before", self.work / "before"), *((j.name, j.run) for j in jobs)]:
            for path in sorted(run.glob("evaluations/*/result.json")):
                found[f"{name}/{path.parent.name}"] = json.loads(path.read_text())
        (self.out / "evaluations.json").write_text(json.dumps(found))


def metrics_of(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics that are whole."""
    path = run / "metrics.jsonl"
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def experiences_of(run: Path) -> list[dict[str, Any]]:
    """Every experience of a run with its attempts, as plain values."""
    path = run / "experiences.db"
    if not path.exists():
        return []
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=1.0) as database:
            database.row_factory = sqlite3.Row
            rows = [dict(row) for row in database.execute("SELECT * FROM experiences")]
            attempts = [dict(row) for row in database.execute("SELECT * FROM attempts")]
    except sqlite3.Error:
        return []
    by_id = {row["id"]: row for row in rows}
    for attempt in attempts:
        by_id[attempt["experience_id"]].setdefault("attempts", []).append(attempt)
    return rows


def main() -> None:
    """The phases asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_lane", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--phases", default=",".join(PHASES))
    parser.add_argument("--limit", type=float, default=540.0, help="seconds in all")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--gguf", type=Path, help="the pretrained model, imported to --base if that does not exist yet")
    parser.add_argument("--base", type=Path, default=Path("models/smollm2-135m-instruct"))
    parser.add_argument("--policy", type=Path, default=Path("models/smollm2-135m-tales"), help="warmed up if missing")
    parser.add_argument("--output", type=Path, default=Path("runs/gpu_lane"))
    parser.add_argument("--tiny", action="store_true", help="smallest sizes: a trial on a CPU")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--problems", type=int, default=32)
    parser.add_argument("--per-device", type=int, default=32)
    parser.add_argument("--learning-rate", default="2.0e-5")
    parser.add_argument("--at-once", type=int, default=12, help="runs of the study that share the GPU")
    parser.add_argument("--evaluation-s", type=float, default=50.0, help="seconds that the last evaluations may take")
    options = parser.parse_args()
    lane = Lane(options)
    for phase in options.phases.split(","):
        lane.say(f"== {phase} ==")
        try:
            getattr(lane, phase)()
        except Exception:
            traceback.print_exc()
            lane.keep(f"{phase}_failed", traceback.format_exc())
        lane.keep(f"{phase}_ended_s", round(time.monotonic() - lane.began, 1))
    lane.say("done")


if __name__ == "__main__":
    main()
