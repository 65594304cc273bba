"""What the policy writes about a batch of pairs, in one call or in three, and the candidates read out of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mel.methods.auxiliaries.meta_experience.construction import Construction
from mel.methods.auxiliaries.meta_experience.locating import confirmed
from mel.methods.auxiliaries.meta_experience.settings import MetaExperienceSettings
from mel.methods.declaration import Surroundings
from mel.methods.drive import completed
from mel.ports import Requests
from mel.prompts import Sections
from mel.requests import Generate
from mel.stages.experience import heading_end, parse_experience, statement_end
from mel.stages.guard import states_answer
from mel.stages.spans import without_end
from mel.types import Candidate, Completion, Sampling, TokenIds

PHASE = "construct"

End = Callable[[str, Sections], int | None]
"""Where a part of the answer ends in its text; None if it is not there."""


def candidates_of(
    asked: Sequence[Construction], settings: MetaExperienceSettings, at: Surroundings
) -> Requests[list[Candidate]]:
    """A candidate for each construction, in order: an experience, or the reason why there is none."""
    sampling = Sampling(max_tokens=settings.construct_max_tokens, temperature=settings.construct_temperature)
    if settings.construct_calls == 3:
        completions = yield from _in_three(asked, sampling, at)
    else:
        prompts = tuple(one.context_ids for one in asked)
        completions = yield from completed(Generate(prompts=prompts, sampling=sampling, phase=PHASE))
    return [_candidate(one, c, settings, at) for one, c in zip(asked, completions, strict=True)]


def _candidate(
    asked: Construction, completion: Completion, settings: MetaExperienceSettings, at: Surroundings
) -> Candidate:
    sections, pair, context_ids = at.prompts.sections, asked.pair, asked.context_ids
    whole = replace(completion, text=asked.opening + completion.text)
    parsed = parse_experience(whole, sections, steps=asked.shown.wrong, given=asked.step)
    if isinstance(parsed, str):
        return Candidate(pair=pair, context_ids=context_ids, completion=completion, experience=None, failure=parsed)
    if settings.localizer == "agreement":
        parsed = confirmed(parsed, pair, asked.shown)
    return Candidate(
        pair=pair,
        context_ids=context_ids,
        completion=completion,
        experience=parsed,
        states_answer=states_answer(parsed, pair.problem.answer, step_reference=sections.step_reference),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Draft:
    """An answer on its way through the three calls.

    Args:
        kept: its tokens so far.
        is_over: nothing is left to ask, for it is whole or lacks a part.
    """

    asked: Construction
    kept: TokenIds = ()
    is_over: bool = False
    is_truncated: bool = False

    def continued(self, completion: Completion, end: End | None, at: Surroundings) -> _Draft:
        """The answer up to the end of the part that was asked for; all of it if that is the last or is missing."""
        ids = self.kept + completion.token_ids
        opening = self.asked.opening
        found = end(opening + at.tokenizer.decode(ids), at.prompts.sections) if end is not None else None
        if found is None:
            return replace(self, kept=ids, is_over=True, is_truncated=completion.is_truncated)
        part = ids[: at.tokenizer.token_index(ids, max(found - len(opening), 0))]
        # An end behind the part was drawn after it, as all else that is dropped.
        return replace(self, kept=without_end(part, at.tokenizer))


def _in_three(asked: Sequence[Construction], sampling: Sampling, at: Surroundings) -> Requests[list[Completion]]:
    """s*, then C, then H (eq. 2 to 4): each call continues what was kept of the one before.

    A call cannot be told to stop where its part ends, so what it writes behind that is dropped, and drawn anew by the
    next one. A given s* asks for nothing in the first.
    """
    drafts = [_Draft(asked=one) for one in asked]
    parts: tuple[End | None, ...] = (statement_end, heading_end, None)
    for number, end in enumerate(parts):
        live = [i for i, d in enumerate(drafts) if not d.is_over and (number or d.asked.step is None)]
        prompts = tuple(drafts[i].asked.context_ids + drafts[i].kept for i in live)
        completions = yield from completed(Generate(prompts=prompts, sampling=sampling, phase=PHASE))
        for i, completion in zip(live, completions, strict=True):
            drafts[i] = drafts[i].continued(completion, end, at)
    return [Completion(token_ids=d.kept, text=at.tokenizer.decode(d.kept), is_truncated=d.is_truncated) for d in drafts]
