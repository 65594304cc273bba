"""The construction prompt of a pair within its limit: whole, in part, or none."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from functools import cache

from mel.methods.auxiliaries.meta_experience.settings import MetaExperienceSettings
from mel.ports import Tokenizer
from mel.prompts import PromptSet
from mel.prompts.ask import ask_about
from mel.stages.excerpt import excerpts
from mel.stages.experience import construction_turn
from mel.types import Excerpt, Pair, TokenIds

NOTHING = range(1, 1)
"""The steps shown of a solution that is left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Construction:
    """What is asked about a pair.

    Args:
        shown: the steps that the prompt shows; s* must be one of them.
        context_ids: C_retro as tokens, chat template included; with a given step also the opening of the answer.
        step: s* where it is given; None where the policy says it.
        opening: what the answer begins with already: the statement of a given step.
    """

    pair: Pair
    shown: Excerpt
    context_ids: TokenIds
    step: int | None = None
    opening: str = ""

    @property
    def is_cut(self) -> bool:
        """Whether steps are left out because the pair is too long."""
        whole = self.pair.whole
        return self.shown.wrong != whole.wrong or self.shown.right not in (whole.right, NOTHING)


def construction(
    pair: Pair,
    tokenizer: Tokenizer,
    prompts: PromptSet,
    settings: MetaExperienceSettings,
    *,
    step: int | None = None,
) -> Construction | None:
    """The prompt of the whole pair; if that is too long, with `long_pairs: cut`, of as much of it as fits; else None.

    Prompts are measured as they will be sent, the group's opening included, and searched by bisection: about seven
    tokenizations for a pair of fifty steps, one for a pair that fits. The search takes each excerpt's prompt to be
    shorter than the one before. Where a step is shorter than the line that takes its place, this fails by a few tokens:
    then a step more may go than must, or a pair be passed over whose least excerpts differ by such a step. What is
    returned always fits.

    Args:
        step: s* if something else than the policy says it; the answer then begins with the prompt set's statement of
            that step, and the policy goes on from there.
    """
    opening = prompts.sections.opening_at(step) if step is not None else ""
    opening_ids = tokenizer.encode(opening) if opening else ()

    def prompt(shown: Excerpt) -> Construction:
        context_ids = ask_about(pair.group, construction_turn(pair, prompts, shown), tokenizer)
        return Construction(pair=pair, shown=shown, context_ids=context_ids + opening_ids, step=step, opening=opening)

    def fits(one: Construction) -> bool:
        return settings.max_pair_tokens is None or len(one.context_ids) <= settings.max_pair_tokens

    whole = prompt(_shown(pair.whole, settings))
    if fits(whole):
        return whole
    if settings.long_pairs == "drop":
        return None
    parts = [_shown(part, settings) for part in excerpts(pair)[1:]]
    prompt_of_part = cache(lambda i: prompt(parts[i]))
    longest = bisect_left(range(len(parts)), True, key=lambda i: fits(prompt_of_part(i)))
    if longest == len(parts) or (step is not None and step not in parts[longest].wrong):
        return None  # an answer about a step that the prompt does not show would be worth nothing
    return prompt_of_part(longest)


def _shown(part: Excerpt, settings: MetaExperienceSettings) -> Excerpt:
    """The part, or y- alone of it: then the line for left out steps stands in the place of y+."""
    return part if settings.construct_from == "pair" else replace(part, right=NOTHING)
