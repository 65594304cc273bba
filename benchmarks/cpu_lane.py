"""A whole mathematics run on a CPU: a small Qwen3 trained with MEL on DAPO, killed, resumed and evaluated.

    python -m benchmarks.cpu_lane DATA --output runs/lane      (DATA: train/dapo_math_17k.jsonl.gz, benchmarks/*.jsonl)

`mel train` and `mel eval` run as for a Qwen3 of any size, each in a process of its own; only the recipe is another. Of
each form of MEL one run is left alone and one is killed by SIGKILL within a step and resumed. Exit status 1 if they
differ in a weight, a metric (clocks aside), an experience, a response or a verdict. The policy knows a few problems by
heart (`benchmarks.small_policy`), so this shows nothing about learning mathematics.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.lane_difference import difference, evaluation_of, ledger
from mel import tasks
from mel.methods import PAPER
from mel.tasks.benchmarks import BENCHMARKS

FORMS: Mapping[str, dict[str, Any]] = {
    "recommended": {
        "settings": {"pairs_per_group": 2, "replay_from": "bifurcation", "target": "step", "context": "prefix"},
        "weight": {"kind": "grad_norm", "share": 3.0, "every": 1},
    },
    "paper": {"settings": PAPER, "weight": {"kind": "constant", "lambda": 1.0, "every": 0}},
}
SAVE_EVERY = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How one of the processes ended.

    Args:
        code: exit status, negative for a signal.
        peak_mib: of its resident memory.
    """

    code: int
    wall_s: float
    cpu_s: float
    peak_mib: float


def mel(*words: str, log: Path, kill_when: Callable[[], bool] | None = None) -> Ended:
    """Run one `mel` command with one thread, or until `kill_when` says so: then it is killed without warning.

    Raises:
        RuntimeError: it failed, or ended before it could be killed.
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    begin, is_killed = time.perf_counter(), False
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "mel", *words], stdout=file, stderr=subprocess.STDOUT, env=environment
        )
        while True:
            # The process stays a zombie until it is waited for, so its id is its own when the signal is sent.
            pid, status, usage = os.wait4(process.pid, os.WNOHANG if kill_when and not is_killed else 0)
            if pid:
                break
            if kill_when and kill_when():
                os.kill(process.pid, signal.SIGKILL)
                is_killed = True
            time.sleep(0.02)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != (-signal.SIGKILL if kill_when else 0):
        raise RuntimeError(f"mel {' '.join(words)} ended with {process.returncode}; see {log}")
    return Ended(
        code=process.returncode,
        wall_s=time.perf_counter() - begin,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_mib=usage.ru_maxrss / 1024,
    )


def within_step(run: Path, step: int) -> Callable[[], bool]:
    """Says when a run is in the middle of that step: half a step's time after it logged the one before."""
    due: list[float] = []

    def is_there() -> bool:
        lines = [] if due else lines_of(run)
        if lines and lines[-1]["step"] >= step - 1:
            due.append(time.monotonic() + 0.5 * lines[-1]["step_time"])
        return bool(due) and time.monotonic() >= due[0]

    return is_there


def recipe_of(form: str, options: argparse.Namespace, policy: Path) -> dict[str, Any]:
    """The recipe of one form of MEL, with the sections and the choices of `qwen3_8b_8gpu`."""
    settings = {"construct_max_tokens": 160, "construct_temperature": 0.0, "max_pair_tokens": 2048}
    given = FORMS[form]
    return {
        "description": f"{form} on a CPU; the policy was fitted to these problems beforehand.",
        "model": {"path": str(policy), "chat_template": "chatml"},
        "task": {"name": "dapo_math", "options": dapo(options.data), "count": options.problems},
        "auxiliaries": [
            {
                "name": "meta_experience",
                "settings": {**settings, **given["settings"]},
                "weight": given["weight"],
                "backward": "separate",
                "rows_per_backward": 2,
            }
        ],
        "trainer": {
            "per_device_train_batch_size": options.rollouts,
            "gradient_accumulation_steps": options.groups,
            "num_generations": options.rollouts,
            "max_completion_length": 128,
            "temperature": 1.0,
            "max_steps": options.steps,
            "learning_rate": 1e-4,
            "lr_scheduler_type": "constant",
            "loss_type": "grpo",
            "beta": 0.0,
            "gradient_checkpointing": True,
            "use_cpu": True,
            "save_steps": SAVE_EVERY,
            "seed": 0,
        },
        "evaluation": {
            "suites": [suite(name, options) for name in BENCHMARKS],
            "before": False,
            "after": False,
            "batch_size": 32,
        },
    }


def dapo(data: Path) -> dict[str, str]:
    """Options of the training task."""
    return {"source": str(data / "train" / "dapo_math_17k.jsonl.gz"), "language": "en"}


def suite(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """One benchmark, cut to `count` problems."""
    source = {"source": str(options.data / "benchmarks" / f"{name}.jsonl")}
    sampling = {"k": options.samples, "temperature": 0.6, "max_tokens": options.max_tokens}
    return {"name": name, "task": name, "options": source, "count": options.count or None, **sampling}


def build_policy(options: argparse.Namespace) -> dict[str, float]:
    """The policy's directory, fitted to the problems that the recipe trains on; kept if it is there."""
    from benchmarks.small_policy import Fit, build

    facts = options.output / "policy.json"
    if not facts.exists():
        problems = tasks.load("dapo_math", **dapo(options.data)).problems("train")
        found = build(
            options.output / "policy", problems[: options.problems], [p.text for p in problems], Fit(steps=options.fit)
        )
        facts.write_text(json.dumps(found))
    return json.loads(facts.read_text())


def run_form(form: str, options: argparse.Namespace) -> dict[str, Any]:
    """Both runs of one form, their evaluations, and where they differ."""
    out, log = options.output, options.output / f"{form}.log"
    recipe = out / f"{form}.yaml"
    recipe.write_text(yaml.safe_dump(recipe_of(form, options, out / "policy"), sort_keys=False))
    calm, killed = out / f"{form}-undisturbed", out / f"{form}-killed"
    train = ("train", str(recipe), "--output")
    ended = {
        "undisturbed": mel(*train, str(calm), log=log),
        "killed": mel(*train, str(killed), log=log, kill_when=within_step(killed, options.steps)),
        "resumed": mel(*train, str(killed), "--resume", log=log),
    }
    for run in (calm, killed):
        words = ("eval", str(run / "model"), "--recipe", str(recipe), "--output", str(evaluation_of(run)))
        ended[f"evaluation, {run.name.removeprefix(form + '-')}"] = mel(*words, log=log)
    return {
        "environment": json.loads((calm / "environment.json").read_text()),
        "ledger": ledger(calm),
        "processes": {name: asdict(e) for name, e in ended.items()},
        "compared": difference(calm, killed),
    }


def start_up(options: argparse.Namespace) -> dict[str, float]:
    """What it takes to begin on all problems instead of a few: seconds before the first step, and memory."""
    run, recipe = options.output / "all-problems", options.output / f"{options.forms[0]}.yaml"
    words = ("train", str(recipe), "--output", str(run), "--set", "task.count=null")
    ended = mel(*words, log=options.output / "all-problems.log", kill_when=lambda: bool(lines_of(run)))
    return {"start_s": ended.wall_s - lines_of(run)[0]["step_time"], "peak_mib": ended.peak_mib}


def lines_of(run: Path) -> list[dict[str, Any]]:
    """The whole lines of a run's metrics so far."""
    metrics = run / "metrics.jsonl"
    return [json.loads(line) for line in metrics.read_text().split("\n")[:-1]] if metrics.exists() else []


def show(form: str, found: dict[str, Any]) -> None:
    """The figures of one form on the terminal."""
    of = found["ledger"]
    print(f"\n{form}: {of['steps']} steps of {of['seconds_per_step']:.1f} s, {of['groups_mixed']:.0%} of groups mixed")
    print(f"  candidates {of['candidates']}, parsed {of['parsed']}, replayed {of['replayed']}, kept {of['kept']}")
    print(f"  rows {of['rows']} in {of['steps_with_rows']} of the steps; {of['reasons']}")
    print(f"  {'process':28} {'status':>6} {'wall s':>7} {'cpu s':>7} {'peak MiB':>9}")
    for name, e in found["processes"].items():
        print(f"  {name:28} {e['code']:6} {e['wall_s']:7.1f} {e['cpu_s']:7.1f} {e['peak_mib']:9.0f}")
    print(f"  {'undisturbed v killed':28} {'things':>6} {'differ':>7}")
    for kind, c in found["compared"].items():
        print(f"  {kind:28} {c['things']:6} {c['differ']:7} {c['first']}")


def parsed_options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cpu_lane", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path, help="train/dapo_math_17k.jsonl.gz and benchmarks/<name>.jsonl lie there")
    parser.add_argument("--output", type=Path, default=Path("runs/lane"), help="new; a policy there is used again")
    parser.add_argument("--forms", default=",".join(FORMS), help="of MEL: " + ", ".join(FORMS))
    parser.add_argument("--problems", type=int, default=12, help="to fit and to train on: the first of the data")
    parser.add_argument("--fit", type=int, default=150, help="supervised steps of the policy")
    parser.add_argument("--steps", type=int, default=6, help="optimizer steps")
    parser.add_argument("--groups", type=int, default=6, help="problems per optimizer step")
    parser.add_argument("--rollouts", type=int, default=8, help="per problem")
    parser.add_argument("--count", type=int, default=8, help="problems per benchmark; 0: all")
    parser.add_argument("--samples", type=int, default=2, help="per benchmark problem beside the greedy response")
    parser.add_argument("--max-tokens", type=int, default=96, help="per benchmark response")
    parser.add_argument("--start-up", action="store_true", help="also measure the start on all problems")
    options = parser.parse_args()
    options.forms = options.forms.split(",")
    return options


def main() -> int:
    """Build the policy, run every form, print what was found, write lane.json; 1 if anything differs."""
    options = parsed_options()
    options.output.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"options": vars(options), "policy": build_policy(options), "forms": {}}
    print("policy: " + ", ".join(f"{name} {value:,.6g}" for name, value in found["policy"].items()))
    for form in options.forms:
        found["forms"][form] = run_form(form, options)
        show(form, found["forms"][form])
    if options.start_up:
        found["start_up"] = start_up(options)
        print("\nstart on all English problems: {start_s:.0f} s, {peak_mib:.0f} MiB".format(**found["start_up"]))
    path = options.output / "lane.json"
    path.write_text(json.dumps(found, indent=2, default=str) + "\n")
    is_same = not any(c["differ"] for form in found["forms"].values() for c in form["compared"].values())
    print(f"\n{'nothing differs' if is_same else 'SOMETHING DIFFERS'}; written: {path}")
    return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main())
