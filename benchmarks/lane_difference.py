"""Where two runs of one recipe differ: weights, metrics, experiences, responses. And what one run's ledger says."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from mel.record import RunDirectory

CLOCK = ("time", "step_time", "runtime", "per_second")
"""Parts of the names of metrics that measure the clock and not the run."""

Things = Mapping[Hashable, object]
"""What is compared: a key for every thing, and its value."""


def difference(expected: Path, found: Path) -> dict[str, dict[str, Any]]:
    """Per kind: how many things there are, how many differ or are on one side only, and the first of these."""
    kinds = {"weights": weights, "metrics": metrics, "experiences": experiences, "responses": responses}
    return {kind: compared(read(expected), read(found)) for kind, read in kinds.items()}


def compared(expected: Things, found: Things) -> dict[str, Any]:
    """Number of things, number that differ, and the name of the first that does."""
    keys = {**expected, **found}
    missing = object()
    differing = [key for key in keys if expected.get(key, missing) != found.get(key, missing)]
    return {"things": len(keys), "differ": len(differing), "first": str(differing[0]) if differing else ""}


def weights(run: Path) -> Things:
    """Name -> shape and bytes of every tensor of the final model."""
    tensors = load_file(run / "model" / "model.safetensors")
    return {name: (tensor.dtype.str, tensor.shape, tensor.tobytes()) for name, tensor in tensors.items()}


def metrics(run: Path) -> Things:
    """(Step, path) -> value of every logged number that is no clock; as text, in which a NaN equals a NaN."""
    rows = RunDirectory.open(run).metrics.read()
    return {
        (row["step"], name): repr(value)
        for row in rows
        for name, value in row.items()
        if not any(word in name for word in CLOCK)
    }


def experiences(run: Path) -> Things:
    """(Step, rank, index) -> every candidate with its replays."""
    with RunDirectory.open(run) as directory:
        return {(e.step, e.rank, e.index): e for e in directory.experiences.list(limit=-1)}


def responses(run: Path) -> Things:
    """(Suite, problem, kind, sample) -> text and verdict of every response to the benchmarks."""
    found: dict[Hashable, object] = {}
    for path in sorted(evaluation_of(run).glob("**/responses.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines()[1:]:
            row = json.loads(line)
            del row["seconds"]
            found[path.parent.name, row["problem"], row["kind"], row["sample"]] = row
    return found


def evaluation_of(run: Path) -> Path:
    """Where `benchmarks.cpu_lane` evaluates that run."""
    return run.with_name(f"{run.name}-evaluation")


def ledger(run: Path) -> dict[str, Any]:
    """What became of the candidates, how many groups were mixed, how many rows trained; read from the run directory."""
    with RunDirectory.open(run) as directory:
        counts, rows = directory.experiences.ledger(), directory.metrics.read()
    steps = [row for row in rows if "reward/mean" in row]
    return {
        "steps": len(steps),
        "reward": [round(row["reward/mean"], 4) for row in steps],
        "groups_mixed": sum(row["reward/groups_mixed"] for row in steps) / len(steps),
        "candidates": counts.candidates,
        "parsed": counts.parsed,
        "replayed": counts.replayed,
        "kept": counts.kept,
        "reasons": dict(counts.reasons),
        "rows": int(sum(row.get("experience/rows", 0) for row in steps)),
        "steps_with_rows": sum(row.get("experience/rows", 0) > 0 for row in steps),
        "seconds_per_step": sum(row["step_time"] for row in steps) / len(steps),
    }
