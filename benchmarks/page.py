"""The report page of a large study: its size, and how long headless Chromium takes to open it."""

from __future__ import annotations

import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.search import write
from mel.config import load_recipe
from mel.evaluate.responses import Kind, Response, Settings
from mel.evaluate.result import summarize, write_result
from mel.record import RunDirectory
from mel.report.page import build
from mel.tasks.tales.verbs import VERBS

ARMS, SEEDS, STEPS, PER_STEP = 12, 5, 60, 8
REPEATS = 5
LONG = 120
"""Steps of a solution that is longer than the page shows."""

PHASES = ("rollout", "construct", "replay")
COUNTED = ("groups", "rows", "candidates", "parsed", "leaks", "replayed", "attempts", "attempts_right", "kept")
METRICS = (
    "loss", "grad_norm", "learning_rate", "entropy", "step_time", "reward", "reward_std", "frac_reward_zero_std",
    "reward/mean", "reward/groups_mixed", "objective/lambda", "objective/nll", "objective/cosine",
    "objective/grad_norm_policy", "objective/grad_norm_auxiliary", "rows/real", "rows/dummy",
    *(f"completions/{which}_{kind}length" for which in ("mean", "min", "max") for kind in ("", "terminated_")),
    *(f"experience/{name}" for name in (*COUNTED, "retention", "parse_rate", "leak_rate", "localization")),
    *(f"clip_ratio/{name}" for name in ("low_mean", "high_mean", "region_mean", "low_min", "high_max")),
    *(f"concept/{verb}" for verbs in VERBS.values() for verb in verbs[:8]),
)  # fmt: skip
"""What a run of MEL logs on each line, apart from tokens and seconds."""

WIDTHS = {"desk": (1280, 900), "phone": (390, 844)}
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking")
DRAWN = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


def page() -> dict[str, Any]:
    """Megabytes, seconds to make and seconds to open, with short texts and with texts longer than the page shows.

    Raises:
        ValueError: playwright or Chromium is not installed.
    """
    with tempfile.TemporaryDirectory() as folder, _chromium() as browser:
        found = {}
        for name, lines in (("short", 3), ("long", LONG)):
            runs = [
                _run(Path(folder) / f"{name}-{arm}-{seed}", arm=arm, seed=seed, lines=lines)
                for arm in range(ARMS)
                for seed in range(SEEDS)
            ]
            started, used = time.perf_counter(), time.process_time()
            html = build(runs, Path(folder) / f"{name}.html")
            made = {"wall": time.perf_counter() - started, "cpu": time.process_time() - used}
            opened = {window: _opened(browser, html.as_uri(), size) for window, size in WIDTHS.items()}
            found[name] = {"mb": html.stat().st_size / 1e6, "made_s": made, "opened_s": opened}
        return {"arms": ARMS, "seeds": SEEDS, "steps": STEPS, "texts": found}


def _opened(browser: Any, address: str, size: tuple[int, int]) -> dict[str, float]:
    """Median seconds until the page is loaded and drawn.

    `wall`: by the wall. `cpu`: processor time of all processes of the browser, among them the start of one for this
    page and of one for the next. `thread`: processor time of the page's own thread, which hardly depends on other load.
    """
    session, found = browser.new_browser_cdp_session(), {"wall": [], "cpu": [], "thread": []}
    for _ in range(REPEATS):
        context = browser.new_context(viewport=dict(zip(("width", "height"), size, strict=True)))
        tab = context.new_page()
        of_tab = context.new_cdp_session(tab)
        of_tab.send("Performance.enable", {"timeDomain": "threadTicks"})
        before, started = _processor(session), time.perf_counter()
        tab.goto(address)
        tab.evaluate(DRAWN)
        found["wall"].append(time.perf_counter() - started)
        after = _processor(session)
        # A process that is new since then began with this page.
        found["cpu"].append(sum(used - before.get(process, 0.0) for process, used in after.items()))
        metrics = {m["name"]: m["value"] for m in of_tab.send("Performance.getMetrics")["metrics"]}
        found["thread"].append(metrics["TaskDuration"])
        context.close()
    return {clock: statistics.median(seconds) for clock, seconds in found.items()}


def _processor(session: Any) -> dict[int, float]:
    """Process of the browser -> seconds of processor time so far."""
    return {p["id"]: p["cpuTime"] for p in session.send("SystemInfo.getProcessInfo")["processInfo"]}


@contextmanager
def _chromium() -> Iterator[Any]:
    """A browser that asks nobody else."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program = None
    if program is None:
        raise ValueError(
            "--only page: expected playwright and Chromium; pip install -e '.[browser]', apt-get install chromium"
        )
    environment: dict[str, str | float | bool] = {n: v for n, v in os.environ.items() if "_proxy" not in n.lower()}
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=list(FLAGS), env=environment)
        yield browser
        browser.close()


def _run(path: Path, *, arm: int, seed: int, lines: int) -> Path:
    """A run directory as training leaves it, all of it made up."""
    rng = random.Random(100 * arm + seed)
    changes = [
        f"name=an_arm_with_quite_a_long_name_{arm}",
        f"trainer.seed={seed}",
        f"trainer.learning_rate={1e-4 * (arm + 1)}",
    ]
    recipe = load_recipe("recommended", changes).model_dump(mode="json")
    rates = {"rates": {"experience": ["retention", "parse_rate", "leak_rate", "localization"]}}
    with RunDirectory.create(path, recipe, {"mel": "0", "commit": "0" * 40, **rates}) as run:
        generated = seconds = 0.0
        for step in range(1, STEPS + 1):
            row = {name: min(1.0, max(0.0, rng.gauss(0.3 + 0.4 * step / STEPS, 0.1))) for name in METRICS}
            row |= {f"tokens/{phase}": float(rng.randrange(100, 2000)) for phase in PHASES}
            generated += sum(row[f"tokens/{phase}"] for phase in PHASES)
            seconds += rng.uniform(1.0, 2.0)
            row |= {f"time_s/{phase}": rng.random() for phase in (*PHASES, "verify", "update")}
            if step % 10 == 0:
                row |= {f"evaluation/{suite}/pass_at_1": rng.random() for suite in ("L5", "L8")}
            run.metrics.append(step, row | {"tokens/generated": generated, "time_s/total": seconds})
        write(run.experiences, STEPS * PER_STEP, seed=100 * arm + seed, per_step=PER_STEP, lines=lines)
        for suite in ("L5", "L8"):
            result = summarize(f"after-{suite}", SETTINGS, _responses(rng, 0.4 + 0.03 * arm))
            write_result(result, run.evaluation(f"after-{suite}"))
        run.set_status("finished", step=STEPS)
    return path


SETTINGS = Settings(
    model="made-up", weights="", k=4, temperature=1.0, top_p=1.0, max_tokens=64, prompts="p", problems="h",
    prompt_ids="i", engine="e", seed=0,
)  # fmt: skip


def _responses(rng: random.Random, skill: float) -> Sequence[Response]:
    kinds: list[tuple[Kind, int]] = [("greedy", 0), *(("sampled", sample) for sample in range(SETTINGS.k))]
    return [
        Response(
            problem=f"p{problem}", kind=kind, sample=sample, text="", num_tokens=40, is_truncated=False,
            is_correct=(is_right := rng.random() < skill), reason="right" if is_right else "wrong", detail="",
            seconds=0.1,
        )
        for problem in range(100)
        for kind, sample in kinds
    ]  # fmt: skip
