"""Location: at which step of a wrong solution an auxiliary begins anew, asked for a batch of pairs at once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from mel.methods.declaration import Surroundings
from mel.methods.drive import completed, scored
from mel.ports import Inspectable, Requests
from mel.prompts import Sections
from mel.prompts.ask import ask_about, conversation
from mel.requests import Generate, Score
from mel.stages.experience import construction_turn, split_sections, stated_step, without_thinking
from mel.stages.join import is_unaided
from mel.stages.localize import Localizer, any_step, first_difference, least_likely, steepest_fall, true_step
from mel.stages.novel_value import novel_value
from mel.stages.pairs import select_pairs
from mel.stages.spans import without_end
from mel.types import Completion, Group, Pair, Sampling, TokenIds

Locator = Literal["first_difference", "critique", "least_likely", "random", "oracle"]
"""Who says it, as in `mel.stages.localize`; `critique` is the policy, asked by the prompt `construct`."""


def check_locator(locator: str, inspector: Inspectable | None, who: str) -> None:
    """Refuses a locator that the task cannot serve.

    Raises:
        ValueError: the oracle, of a task that does not know true errors.
    """
    if locator == "oracle" and inspector is None:
        raise ValueError(
            f"{who}.localizer: 'oracle' asks the task for the first wrong step, and this task cannot say; use "
            "first_difference, critique, random or another"
        )


def unaided_pairs(group: Group, at: Surroundings, *, step: int, per_group: int, counts: Counter[str]) -> Sequence[Pair]:
    """The closest pairs with a step that differs, of rollouts that were given nothing; what is passed over is counted.

    Args:
        step: of the optimizer; seeds the choice among pairs that are equally close.
    """
    own = replace(group, rollouts=tuple(filter(is_unaided, group.rollouts)))
    rng = random.Random(f"{at.seed}:{step}:{group.problem.id}")
    found = select_pairs(own, at.steps, per_group=per_group, choose="closest_distinct", rng=rng)
    counts.update({f"skipped/{reason}": n for reason, n in found.skipped.items()})
    return found.pairs


def located(
    pairs: Sequence[Pair], locator: Localizer, at: Surroundings, *, step: int, phase: str, max_tokens: int = 0
) -> Requests[list[int | None]]:
    """The number of a step of each pair's wrong solution; None where none is named.

    Args:
        locator: any but `monte_carlo` and `agreement`, which are more than one question.
        step: of the optimizer; seeds what is drawn.
        phase, max_tokens: of the policy's answers, for `critique`.
    """
    if locator == "critique":
        return (yield from _stated(pairs, at, phase=phase, max_tokens=max_tokens))
    if locator == "least_likely":
        return (yield from _by_likelihood(pairs, at, phase=phase))
    if locator == "likelihood":
        return (yield from _by_fall(pairs, at, phase=phase))
    if locator == "random":
        return [any_step(p, random.Random(f"{at.seed}:{step}:{p.problem.id}:{p.wrong_index}")) for p in pairs]
    if locator == "oracle" and at.inspector is not None:
        return [true_step(pair, at.inspector) for pair in pairs]
    free = novel_value if locator == "novel_value" else first_difference
    return [free(pair) for pair in pairs]


def before_step(pair: Pair, number: int, at: Surroundings) -> TokenIds:
    """The tokens of the wrong solution before that step."""
    return _until(pair, pair.wrong_steps[number - 1].start, at)


def through_step(pair: Pair, number: int, at: Surroundings) -> TokenIds:
    """The tokens of the wrong solution up to the end of that step, without an end of sequence behind the last one."""
    return without_end(_until(pair, pair.wrong_steps[number - 1].end, at), at.tokenizer)


def _until(pair: Pair, char: int, at: Surroundings) -> TokenIds:
    return pair.wrong.token_ids[: at.tokenizer.token_index(pair.wrong.token_ids, char)]


def _by_likelihood(pairs: Sequence[Pair], at: Surroundings, *, phase: str) -> Requests[list[int | None]]:
    contexts = tuple(pair.group.prompt_ids for pair in pairs)
    targets = tuple(pair.wrong.token_ids for pair in pairs)
    logps = yield from scored(Score(contexts=contexts, targets=targets, phase=phase))
    return [least_likely(pair, found, at.tokenizer) for pair, found in zip(pairs, logps, strict=True)]


def _by_fall(pairs: Sequence[Pair], at: Surroundings, *, phase: str) -> Requests[list[int | None]]:
    alone = tuple(pair.group.prompt_ids for pair in pairs)
    beside = tuple(_after_right(pair, at) for pair in pairs)
    wrong = tuple(pair.wrong.token_ids for pair in pairs)
    logps = yield from scored(Score(contexts=alone + beside, targets=wrong * 2, phase=phase))
    known = zip(pairs, logps[: len(pairs)], logps[len(pairs) :], strict=True)
    return [steepest_fall(pair, before, after, at.tokenizer) for pair, before, after in known]


def _after_right(pair: Pair, at: Surroundings) -> TokenIds:
    """x solved by y+, and x asked once more."""
    question = at.prompts.solve(pair.problem.text)
    solved = conversation(pair.group.opening, question)
    return at.tokenizer.chat(conversation([*solved, {"role": "assistant", "content": pair.right.text}], question))


def _stated(pairs: Sequence[Pair], at: Surroundings, *, phase: str, max_tokens: int) -> Requests[list[int | None]]:
    prompts = tuple(ask_about(pair.group, construction_turn(pair, at.prompts), at.tokenizer) for pair in pairs)
    sampling = Sampling(max_tokens=max_tokens, temperature=0.0)
    answers = yield from completed(Generate(prompts=prompts, sampling=sampling, phase=phase))
    return [_step_in(answer, pair, at) for answer, pair in zip(answers, pairs, strict=True)]


def blamed_step(answer: str, sections: Sections) -> int | None:
    """The number that the answer states; None if it states none. What comes after the statement may be cut off."""
    text = without_thinking(answer)
    return stated_step(text, split_sections(text, sections).get("failure", ""), sections)


def _step_in(answer: Completion, pair: Pair, at: Surroundings) -> int | None:
    """The step that the answer blames, if the wrong solution has it."""
    number = blamed_step(answer.text, at.prompts.sections)
    return number if number is not None and 1 <= number <= len(pair.wrong_steps) else None
