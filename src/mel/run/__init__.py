"""The one place that wires: a recipe becomes a task, a method, a host and a run directory."""

from mel.run.prepare import prepare
from mel.run.training import train

__all__ = ["prepare", "train"]
