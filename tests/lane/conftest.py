"""Modules of `benchmarks` are found from the root of the repository, wherever pytest was started."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
