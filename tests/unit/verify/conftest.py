from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

pytest.importorskip("pebble")
pytest.importorskip("math_verify")

from mel.verify import Limits, MathVerifier, WorkerPool


@pytest.fixture(scope="session")
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(Limits(cpu_s=30.0, workers=1)) as pool:
        yield pool


@pytest.fixture(scope="session")
def impatient_pool() -> Iterator[WorkerPool]:
    with WorkerPool(Limits(cpu_s=1.0, memory_mb=1024, workers=1)) as pool:
        yield pool


@pytest.fixture
def verifier(pool: WorkerPool) -> MathVerifier:
    return MathVerifier(pool=pool)
