"""From a world's seed to an ordinary model directory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import transformers

from mel.miniature import SizeName
from mel.miniature.model import SIZES, build_model
from mel.miniature.policies import CARD, WEIGHTS
from mel.miniature.tokenizer import build_tokenizer
from mel.miniature.warmup import WARM_UPS, WarmUp, warm_up
from mel.model_path import check_new
from mel.record.provenance import sha256_of
from mel.tasks.small_world import WorldKind
from mel.tasks.story_counts import STORIES

Measure = Callable[[Any, Any, int], Mapping[str, Any]]
"""(model, tokenizer, world) -> the facts to keep in the card."""


def build(
    directory: str | Path,
    *,
    kind: WorldKind[Any] = STORIES,
    world: int = 0,
    size: SizeName = "s",
    settings: WarmUp | None = None,
    measure: Measure | None = None,
    progress: Callable[[int, dict[str, float]], None] | None = None,
) -> Path:
    """The directory, now holding model, tokenizer and card; on one thread, so that a rebuild gives the same weights.

    Args:
        directory: must not exist yet or be empty.
        size: ``s``, ``m`` or ``l``.
        measure: what to note about the finished policy; the card has no facts without it.
        progress: gets the step and the smoothed losses.

    Raises:
        ValueError: an unknown size, or a directory that holds something.
    """
    target = Path(directory)
    if size not in SIZES:
        raise ValueError(f"size: expected one of {', '.join(SIZES)}; got {size!r}")
    check_new(target)
    settings = settings or WARM_UPS[kind.name]
    tokenizer = build_tokenizer(kind)
    with _one_thread():
        model = build_model(SIZES[size], seed=settings.seed, kind=kind)
        warm_up(model, tokenizer, world=world, settings=settings, kind=kind, progress=progress)
        facts = dict(measure(model, tokenizer, world)) if measure is not None else {}
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    # safetensors writes for the owner only; an installed package is read by others.
    (target / WEIGHTS).chmod(0o644)
    card = {
        "task": kind.name,
        "world": world,
        "size": size,
        "parameters": model.num_parameters(),
        "warm_up": asdict(settings),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "sha256": sha256_of(target / WEIGHTS),
        "facts": facts,
    }
    (target / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return target


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
