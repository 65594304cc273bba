"""One sentence out of a probe: can meta-experience learning help this policy?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mel.methods.probe.noting import mean
from mel.methods.probe.scores import Score, Scores, effects

LEAST_PARSED = 0.2
"""Share of notes that must be usable: with fewer of them a batch has hardly anything to replay."""

LEAST_PAIRS = 8
"""With fewer of them an interval over problems is too narrow to be believed; of one problem it is a point."""

Answer = Literal["yes", "no", "unclear"]

_PLACES = {"start": "from the start", "bifurcation": "from before the wrong step"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Conclusion:
    """Whether MEL can help, and why, in one sentence."""

    answer: Answer
    sentence: str


def conclusion(scores: Scores, *, pairs: int) -> Conclusion:
    """What the figures say, a cause before what follows from it.

    Notes must be possible (a mixed group), be written (parsed), and act: attempts with the policy's own note must
    succeed more often than without, by more than chance explains, from one of the two starts.
    """
    groups, mixed = len(scores["groups_mixed"]), mean(scores["groups_mixed"])
    if not pairs:
        return Conclusion(
            answer="no",
            sentence=f"MEL has nothing to learn from here: of {groups} problems none gave a right and a wrong solution "
            f"to compare ({mean(scores['groups_right']):.2f} are always solved, {mean(scores['groups_wrong']):.2f} "
            "never); take easier or harder problems, or more samples.",
        )
    if pairs < LEAST_PAIRS:
        return Conclusion(
            answer="unclear",
            sentence=f"{pairs} of {groups} problems gave a pair, and fewer than {LEAST_PAIRS} are too few to say "
            "whether MEL can help: probe more problems, or take more samples of each.",
        )
    found = effects(scores)
    helps, place = _best(found, "own_minus_none")
    if mean(scores["parsed"]) < LEAST_PARSED:
        return Conclusion(
            answer="no",
            sentence=f"MEL cannot help yet: only {mean(scores['parsed']):.2f} of its notes can be read; change the "
            "prompt set or warm the policy up on comparing solutions.",
        )
    if helps is not None and helps.low > 0:
        content, _ = _best({k: v for k, v in found.items() if k.endswith(place)}, "own_minus_other")
        caveat = (
            ""
            if content is not None and content.low > 0
            else ", though it cannot be told apart from what another problem's note does"
        )
        return Conclusion(
            answer="yes",
            sentence=f"MEL can help: {_PLACES[place]}, its own note raises success by {_shown(helps)}{caveat}; "
            f"{mixed:.2f} of the groups are mixed.",
        )
    return _without_effect(found, helps, place, pairs)


def _without_effect(found: Mapping[str, Score | None], helps: Score | None, place: str, pairs: int) -> Conclusion:
    true, true_place = _best(found, "true_minus_none")
    if true is not None and true.low > 0:
        return Conclusion(
            answer="unclear",
            sentence=f"Notes are causal, but its own are not good enough yet: {_PLACES[true_place]}, a true note "
            f"raises success by {_shown(true)}, its own by {_shown(helps)}; a better localizer may do it.",
        )
    if helps is not None and helps.high < 0:
        return Conclusion(answer="no", sentence=f"MEL would not help: its own notes lower success, {_shown(helps)}.")
    return Conclusion(
        answer="unclear",
        sentence=f"No effect of its own notes can be told apart from chance on {pairs} pairs: {_PLACES[place]} it is "
        f"{_shown(helps)}; probe more problems, or expect little.",
    )


def _best(found: Mapping[str, Score | None], what: str) -> tuple[Score | None, str]:
    """The largest of these effects by its lower end, and the start it was measured from."""
    there = [(score, name.rpartition("_")[2]) for name, score in found.items() if name.startswith(what) and score]
    return max(there, key=lambda item: item[0].low, default=(None, "start"))


def _shown(score: Score | None) -> str:
    return "an unknown amount" if score is None else f"{score.value:+.2f} [{score.low:+.2f}, {score.high:+.2f}]"
