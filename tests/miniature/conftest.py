"""Sessions of the command line in processes of their own, forked from one that has imported everything."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Modules of `benchmarks` are found from the root of the repository, wherever pytest was started; beside this file lies
# what the tests of whole commands share.
sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

from benchmarks.sessions import Sessions  # noqa: E402


@pytest.fixture(scope="session")
def sessions() -> Iterator[Sessions]:
    with Sessions() as server:
        yield server
