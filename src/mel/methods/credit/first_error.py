"""First-error credit: the right beginning of a wrong rollout is not punished (Cliff 2609.02817, VPPO 2601.18984)."""

from __future__ import annotations

from collections.abc import Sequence

from mel.ports import Tokenizer
from mel.stages.credit import weights_from_bifurcation
from mel.types import Group, Replayed


class FirstError:
    """Advantage 0 on the tokens of y- before the s* of a kept experience; needs the meta_experience auxiliary."""

    name = "first_error"

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def token_weights(self, groups: Sequence[Group], replayed: Sequence[Replayed]) -> list[list[list[float]]]:
        return weights_from_bifurcation(groups, replayed, self._tokenizer)
