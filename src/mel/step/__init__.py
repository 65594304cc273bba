"""One generation batch through a method, ignorant of any trainer: groups in; rows, advantages and counts out.

A host rolls out, says who answers requests and what its ranks are, and optimizes what comes back. Nothing here holds a
tensor or knows an auxiliary by name.
"""

from mel.step.accounting import Accounting
from mel.step.batch import Learned, Rolled, learn
from mel.step.gathering import Gathering
from mel.step.groups import build_groups
from mel.step.idleness import Patience
from mel.step.learning import RowLearning
from mel.step.ranks import Alone, Ranks
from mel.step.slots import Key, Totals, lay_out

__all__ = [
    "Accounting",
    "Alone",
    "Gathering",
    "Key",
    "Learned",
    "Patience",
    "Ranks",
    "Rolled",
    "RowLearning",
    "Totals",
    "build_groups",
    "lay_out",
    "learn",
]
