"""What a probe is made with: how many samples, which construction, and what fits the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mel.methods.auxiliaries.meta_experience.settings import MetaExperienceSettings
from mel.methods.declaration import AuxiliarySettings
from mel.ports import Noting


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeSetting:
    """How a probe is made.

    Args:
        samples: solutions sampled of each problem, at least 2.
        attempts: at each pair, from each start, with each note.
        construction: how notes are written; localizer and limits count, what is learned does not.
        noting: a task that writes true and false notes itself; None where none can.
        scores_tokens: log-probabilities can be asked for.
        positions: of the model; None for one that names no limit.
    """

    samples: int = 8
    attempts: int = 4
    construction: MetaExperienceSettings
    noting: Noting | None = None
    scores_tokens: bool = True
    positions: int | None = None

    def __post_init__(self) -> None:
        if self.samples < 2 or self.attempts < 1:
            raise ValueError(
                f"probe: expected at least 2 samples, of which a pair is made, and 1 attempt; got {self.samples} and "
                f"{self.attempts}"
            )

    def fits(self, prompt_tokens: int, completion: int) -> bool:
        """Whether a prompt of so many tokens leaves room for such a completion."""
        return self.positions is None or prompt_tokens + completion <= self.positions


def setting_of(
    auxiliaries: Sequence[AuxiliarySettings],
    *,
    samples: int,
    noting: Noting | None,
    scores_tokens: bool,
    positions: int | None,
) -> ProbeSetting:
    """As a run with these auxiliaries would write its notes; by the defaults where none of them writes any.

    A construction prompt that would leave no room for its answer is passed over or cut, as `long_pairs` says.
    """
    found = (settings for settings in auxiliaries if isinstance(settings, MetaExperienceSettings))
    construction = next(found, MetaExperienceSettings())
    if positions is not None:
        written = min(construction.construct_max_tokens, positions // 4)
        room = max(1, positions - construction.construct_calls * written)
        most = min(construction.max_pair_tokens or room, room)
        construction = construction.model_copy(update={"construct_max_tokens": written, "max_pair_tokens": most})
    return ProbeSetting(
        samples=samples,
        construction=construction,
        noting=noting,
        scores_tokens=scores_tokens,
        positions=positions,
    )
