"""Credit: at which tokens of a rollout its advantage counts. One rule per file."""

from __future__ import annotations

from collections.abc import Callable

from mel.methods.credit.first_error import FirstError
from mel.methods.credit.outcome import Outcome
from mel.methods.declaration import Surroundings
from mel.ports import Credit

CREDITS: dict[str, Callable[[Surroundings | None], Credit]] = {
    "outcome": Outcome,
    "first_error": FirstError,
}
