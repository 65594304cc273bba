"""Logic puzzles: `task` is the task, `sources` finds a data set by name, `forms` says how its steps are written.

Data sets are those of reasoning-gym and our own `modus_ponens`. Where the truth about steps is computable, one of the
modules `strings`, `sums` and `boards` checks them.
"""

from __future__ import annotations

from mel.tasks.puzzles.task import Puzzles

__all__ = ["Puzzles"]
