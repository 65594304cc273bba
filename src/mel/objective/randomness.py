"""A random stream of our own beside the trainer's, so that our sampling leaves the trainer's untouched."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def own_stream(*key: object) -> Iterator[None]:
    """Inside: random, numpy and torch (all devices) seeded by `key`; outside: as if nothing had been drawn.

    Args:
        key: for example (seed, generation batch, rank); equal keys give equal streams.
    """
    seed = int.from_bytes(hashlib.sha256(":".join(map(str, key)).encode()).digest()[:4], "big")
    python_state, numpy_state = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
