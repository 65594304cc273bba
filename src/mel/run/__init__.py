"""The one place that wires: a recipe becomes a task, a method, a host and a run directory."""

from mel.run.training import train
from mel.run.wiring import Wiring, wire

__all__ = ["Wiring", "train", "wire"]
