"""What `benchmarks.gpu_lane` starts as processes: a training run that can be told to stop, timing, the miniature.

python -m benchmarks.gpu_jobs '{"train": {"recipe": "grpo", "changes": [], "run": "runs/x", "stop": "runs/stop_at"}}'
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def train_job(spec: dict[str, Any]) -> None:
    """One recipe; it stops early after the step that the file ``stop`` names."""
    from rich.console import Console
    from transformers import trainer as hf
    from transformers.trainer_callback import TrainerCallback

    from mel.config import load_recipe
    from mel.run import train

    class StopAt(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            stop = Path(spec.get("stop", ""))
            if spec.get("stop") and stop.exists() and state.global_step >= int(stop.read_text()):
                control.should_training_stop = True

    # Every trainer that is made from here on gets it; `mel.run.train` takes no callbacks of its caller.
    callbacks: list[Any] = hf.DEFAULT_CALLBACKS
    callbacks.append(StopAt)
    try:
        train(load_recipe(spec["recipe"], spec["changes"]), output=Path(spec["run"]), console=Console(width=120))
    finally:
        callbacks.remove(StopAt)


def timing_job(specs: list[dict[str, Any]]) -> None:
    """Recipes one after the other, with the peak of the GPU's memory after each."""
    import torch

    for spec in specs:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        train_job(spec)
        if torch.cuda.is_available():
            peak = {"allocated": torch.cuda.max_memory_allocated(), "reserved": torch.cuda.max_memory_reserved()}
            print("peak " + json.dumps({"recipe": spec["recipe"], **peak}), flush=True)
            torch.cuda.empty_cache()


def miniature_job(device: str, run: str) -> None:
    """Two steps of `recommended`; every token is drawn on the CPU, so that two devices draw the same ones."""
    import torch

    drawn = torch.multinomial

    def on_the_cpu(weights: Any, *args: Any, **kwargs: Any) -> Any:
        return drawn(weights.cpu(), *args, **kwargs).to(weights.device)

    torch.multinomial = on_the_cpu
    changes = ["trainer.max_steps=2", "trainer.save_strategy='no'", "evaluation={}", "output.save_final=false"]
    changes.append(f"trainer.use_cpu={str(device == 'cpu').lower()}")
    train_job({"recipe": "recommended", "changes": changes, "run": run})


JOBS: dict[str, Any] = {"train": train_job, "timing": timing_job, "miniature": lambda spec: miniature_job(**spec)}


if __name__ == "__main__":
    ((name, given),) = json.loads(sys.argv[1]).items()
    JOBS[name](given)
