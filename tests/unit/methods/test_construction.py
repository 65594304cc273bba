"""The construction prompt within its limit: measured in tokens of the real tokenizers, with both prompt sets.

One token a word, the miniature's prompt of a pair is 51 tokens: 11 of the problem, 18 of either attempt, 4 of the
instruction and the chat template. A step is 6 tokens, the mark in the place of steps is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from stories import PROBLEM, PROMPTS, WRONG_ANSWER_ONLY, WRONG_AT_1, WRONG_AT_2, WRONG_AT_3, bytes_bpe, ids, pair, words

from mel import prompts
from mel.methods import MetaExperienceLearning, MetaExperienceSettings, Surroundings, drive
from mel.methods.auxiliaries.meta_experience.construction import Construction, construction
from mel.stages.excerpt import excerpts
from mel.stages.experience import construction_turn
from mel.tasks.segmentation import prose_steps
from mel.types import Completion, Excerpt, Group, Message, Pair, Problem, Rollout, Sampling, TokenIds, Verdict

MATH = prompts.load("math")
BEGINNING = [f"Fact {n} of the problem holds." for n in range(1, 31)]
RIGHT = [*BEGINNING, *[f"So case {n} is settled by adding." for n in range(10)]]
WRONG = [*BEGINNING, *[f"So case {n} is settled by taking the square root." for n in range(20)]]


def asked(of: Pair, limit: int | None, long_pairs: str = "cut") -> Construction | None:
    settings = MetaExperienceSettings(max_pair_tokens=limit, long_pairs=long_pairs)  # type: ignore[arg-type]
    return construction(of, words(), PROMPTS, settings)


def prompt(right: str, wrong: str) -> TokenIds:
    return ids(f"<user> {PROBLEM.text} right {right} wrong {wrong} <assistant>")


def of_mathematics(right: Sequence[str], wrong: Sequence[str]) -> Pair:
    rollouts = tuple(
        Rollout(token_ids=ids(text, bytes_bpe()), text=text, verdict=Verdict(is_correct=is_right, reason=""), reward=0)
        for text, is_right in (("\n\n".join(right), True), ("\n\n".join(wrong), False))
    )
    return Pair(
        group=Group(problem=PROBLEM, prompt_ids=(), rollouts=rollouts),
        right=rollouts[0],
        wrong=rollouts[1],
        wrong_index=1,
        right_steps=prose_steps(rollouts[0].text),
        wrong_steps=prose_steps(rollouts[1].text),
    )


@pytest.mark.parametrize("long_pairs", ["drop", "cut"])
@pytest.mark.parametrize("limit", [None, 51])
def test_a_pair_that_fits_is_asked_about_whole_whatever_becomes_of_long_ones(
    limit: int | None, long_pairs: str
) -> None:
    whole = prompt(
        "1) finds plus 3 = 53 2) sorts same 2 = 53 3) loses minus 5 = 48",
        "1) finds plus 3 = 53 2) sorts same 2 = 53 3) loses same 5 = 53",
    )
    assert len(whole) == 51
    found = asked(pair(WRONG_AT_3), limit, long_pairs)
    assert found == Construction(pair=pair(WRONG_AT_3), shown=pair(WRONG_AT_3).whole, context_ids=whole)
    assert not found.is_cut


def test_a_long_pair_is_dropped_unless_it_is_to_be_cut() -> None:
    assert asked(pair(WRONG_AT_3), 50, "drop") is None
    assert asked(pair(WRONG_AT_3), 50, "cut") is not None


@pytest.mark.parametrize(
    ("limit", "right", "wrong"),
    [
        # 51 - 2 x (6 - 1) = 41: the first mark takes the place of a step.
        (50, "[...] 2) sorts same 2 = 53 3) loses minus 5 = 48", "[...] 2) sorts same 2 = 53 3) loses same 5 = 53"),
        (41, "[...] 2) sorts same 2 = 53 3) loses minus 5 = 48", "[...] 2) sorts same 2 = 53 3) loses same 5 = 53"),
        # 41 - 2 x 6 = 29: the mark stands for one step more.
        (40, "[...] 3) loses minus 5 = 48", "[...] 3) loses same 5 = 53"),
        (29, "[...] 3) loses minus 5 = 48", "[...] 3) loses same 5 = 53"),
    ],
)
def test_of_a_long_shared_beginning_as_much_stays_as_fits(limit: int, right: str, wrong: str) -> None:
    found = asked(pair(WRONG_AT_3), limit)
    assert found is not None
    assert found.context_ids == prompt(right, wrong)
    assert found.is_cut


@pytest.mark.parametrize(
    ("limit", "right", "wrong"),
    [
        # 51 - 6 + 1 = 46, 46 - 6 + 1 = 41, 41 - 6 = 35, 35 - 6 = 29
        (46, "1) finds plus 3 = 53 2) sorts same 2 = 53 3) loses minus 5 = 48",
             "1) finds minus 3 = 47 2) sorts same 2 = 47 [...]"),
        (45, "1) finds plus 3 = 53 2) sorts same 2 = 53 [...]", "1) finds minus 3 = 47 2) sorts same 2 = 47 [...]"),
        (40, "1) finds plus 3 = 53 2) sorts same 2 = 53 [...]", "1) finds minus 3 = 47 [...]"),
        (34, "1) finds plus 3 = 53 [...]", "1) finds minus 3 = 47 [...]"),
        (29, "1) finds plus 3 = 53 [...]", "1) finds minus 3 = 47 [...]"),
    ],
)  # fmt: skip
def test_without_a_shared_beginning_the_ends_go(limit: int, right: str, wrong: str) -> None:
    found = asked(pair(WRONG_AT_1), limit)
    assert found is not None
    assert found.context_ids == prompt(right, wrong)


@pytest.mark.parametrize("wrong", [WRONG_AT_1, WRONG_AT_3, WRONG_ANSWER_ONLY])
def test_a_pair_whose_least_part_does_not_fit_is_not_asked_about(wrong: str) -> None:
    assert asked(pair(wrong), 29) is not None
    assert asked(pair(wrong), 28) is None


def test_a_pair_in_the_middle_loses_its_beginning_before_its_ends() -> None:
    # 51 - 2 x 5 = 41 without step 1, 41 - 6 + 1 = 36 without the end of y-, 36 - 6 + 1 = 31 without that of y+
    sizes = {41: ((2, 3), (2, 3)), 36: ((2, 3), (2, 2)), 31: ((2, 2), (2, 2))}
    for limit, ((first, last), (_, wrong_last)) in sizes.items():
        found = asked(pair(WRONG_AT_2), limit)
        assert found is not None
        assert len(found.context_ids) == limit
        assert found.shown == Excerpt(right=range(first, last + 1), wrong=range(first, wrong_last + 1))


class Counting:
    """A tokenizer that counts how often it renders a conversation."""

    def __init__(self) -> None:
        self.rendered = 0

    def chat(self, messages: Sequence[Message]) -> TokenIds:
        self.rendered += 1
        return bytes_bpe().chat(messages)

    def encode(self, text: str) -> TokenIds:
        return bytes_bpe().encode(text)

    def decode(self, token_ids: Sequence[int]) -> str:
        return bytes_bpe().decode(token_ids)

    def token_index(self, token_ids: Sequence[int], char: int) -> int:
        return bytes_bpe().token_index(token_ids, char)


def sizes_of(of: Pair) -> list[int]:
    turns = [construction_turn(of, MATH, shown) for shown in excerpts(of)]
    return [len(bytes_bpe().chat([{"role": "user", "content": turn}])) for turn in turns]


@pytest.mark.parametrize(("right", "wrong"), [(RIGHT, WRONG), (RIGHT[30:], WRONG[30:]), (RIGHT, WRONG[29:])])
def test_the_longest_excerpt_that_fits_is_found_in_a_few_renderings(right: list[str], wrong: list[str]) -> None:
    of = of_mathematics(right, wrong)
    sizes = sizes_of(of)
    assert sizes == sorted(set(sizes), reverse=True)
    for limit in (sizes[-1] - 1, *sizes[::-7], sizes[1], sizes[1] - 1):
        tokenizer = Counting()
        found = construction(of, tokenizer, MATH, MetaExperienceSettings(max_pair_tokens=limit, long_pairs="cut"))
        fitting = [shown for shown, size in zip(excerpts(of), sizes, strict=True) if size <= limit]
        assert (found.shown if found else None) == (fitting[0] if fitting else None)
        assert tokenizer.rendered <= 1 + len(sizes).bit_length()
    assert len(sizes) <= 60


def test_a_pair_that_fits_is_rendered_once() -> None:
    tokenizer, of = Counting(), of_mathematics(RIGHT, WRONG)
    settings = MetaExperienceSettings(max_pair_tokens=sizes_of(of)[0], long_pairs="cut")
    assert construction(of, tokenizer, MATH, settings) is not None
    assert tokenizer.rendered == 1


def test_a_prompt_of_mathematics_says_which_steps_are_left_out_and_keeps_the_numbers() -> None:
    of = of_mathematics(RIGHT[:32], WRONG[:34])
    # Sizes fall in this order: 30 beginnings of one step to thirty, then ends.
    settings = MetaExperienceSettings(max_pair_tokens=sizes_of(of)[30], long_pairs="cut")
    found = construction(of, bytes_bpe(), MATH, settings)
    assert found is not None
    assert found.shown == Excerpt(right=range(31, 33), wrong=range(31, 35))
    text = bytes_bpe().decode(found.context_ids)
    assert (
        "<correct_attempt>\n[Steps 1 to 30 are left out here.]\n[Step 31] So case 0 is settled by adding.\n"
        "[Step 32] So case 1 is settled by adding.\n</correct_attempt>"
    ) in text
    assert (
        "<incorrect_attempt>\n[Steps 1 to 30 are left out here.]\n[Step 31] So case 0 is settled by taking the square "
        "root.\n"
    ) in text
    settings = MetaExperienceSettings(max_pair_tokens=sizes_of(of)[-1], long_pairs="cut")
    least = construction(of, bytes_bpe(), MATH, settings)
    assert least is not None
    assert (
        "<incorrect_attempt>\n[Steps 1 to 30 are left out here.]\n[Step 31] So case 0 is settled by taking the square "
        "root.\n[Steps 32 to 34 are left out here.]\n</incorrect_attempt>"
    ) in bytes_bpe().decode(least.context_ids)


@dataclass
class Engine:
    """Answers each call with its one text, and calls every response right."""

    texts: list[str]
    asked: list[tuple[TokenIds, ...]] = field(default_factory=list)

    def generate(self, prompts: Sequence[TokenIds], sampling: Sampling) -> list[Completion]:
        self.asked.append(tuple(prompts))
        text = self.texts[len(self.asked) - 1]
        return [Completion(token_ids=ids(f"{text}<eos>", bytes_bpe()), text=text) for _ in prompts]

    def verify(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Verdict]:
        return [Verdict(is_correct=True, reason="right") for _ in responses]


@pytest.mark.parametrize(("step", "is_shown"), [(30, False), (31, True), (33, True), (34, False)])
def test_a_step_of_a_cut_solution_is_continued_exactly_where_the_rollout_had_it(step: int, is_shown: bool) -> None:
    of = of_mathematics(RIGHT[:32], WRONG[:34])
    # Of y- steps 31 to 33 are shown: its beginning is shared, and of 34 the end is cut once.
    limit = next(size for size, e in zip(sizes_of(of), excerpts(of), strict=True) if e.wrong == range(31, 34))
    settings = MetaExperienceSettings(max_pair_tokens=limit, long_pairs="cut", pairs_per_group=1)
    at = Surroundings(tokenizer=bytes_bpe(), prompts=MATH, steps=prose_steps, rollout_max_tokens=99)
    engine = Engine([f"## Failure point\nFirst wrong step: {step}\n## Heuristics\nIf x, then y.", "So it is 48."])
    outcome = drive(MetaExperienceLearning(settings, at).learn([of.group], step=1), engine, engine)
    (item,) = outcome.replayed
    assert outcome.counts["cut"] == 1
    assert item.reason == ("kept" if is_shown else "bifurcation_out_of_range")
    if is_shown:
        before = "".join(f"{paragraph}\n\n" for paragraph in WRONG[: step - 1])
        assert item.prefix_ids == of.wrong.token_ids[: len(item.prefix_ids)]
        assert bytes_bpe().decode(item.prefix_ids) == before
        assert engine.asked[1][0][-len(item.prefix_ids) :] == item.prefix_ids
        assert item.attempts[0].response == before + "So it is 48."


OPENING = "## Failure point\nFirst wrong step: 31\n"
WRITTEN = "Case 0 needs adding.\n## Heuristics\nIf a case adds, then add."


def given(of: Pair, step: int, limit: int | None = None) -> Construction | None:
    settings = MetaExperienceSettings(max_pair_tokens=limit, long_pairs="cut")
    return construction(of, bytes_bpe(), MATH, settings, step=step)


def test_a_given_step_opens_the_answer_and_counts_in_the_prompts_length() -> None:
    of = of_mathematics(RIGHT, WRONG)
    opened, opening_ids = given(of, 31), ids(OPENING, bytes_bpe())
    plain = construction(of, bytes_bpe(), MATH, MetaExperienceSettings())
    assert opened is not None
    assert plain is not None
    assert (opened.step, opened.opening, plain.step, plain.opening) == (31, OPENING, None, "")
    assert opened.context_ids == plain.context_ids + opening_ids
    limit = len(opened.context_ids)
    exact, cut = given(of, 31, limit), given(of, 31, limit - 1)
    assert exact == opened
    assert cut is not None
    assert cut.is_cut
    assert cut.context_ids[-len(opening_ids) :] == opening_ids
    assert len(cut.context_ids) < limit


def test_the_policy_goes_on_from_the_given_step_and_its_experience_states_it() -> None:
    of = of_mathematics(RIGHT, WRONG)
    settings = MetaExperienceSettings(localizer="first_difference", target="experience", context="retrospective")
    at = Surroundings(tokenizer=bytes_bpe(), prompts=MATH, steps=prose_steps, rollout_max_tokens=99)
    engine = Engine([WRITTEN, "So it is 48."])
    outcome = drive(MetaExperienceLearning(settings, at).learn([of.group], step=1), engine, engine)
    (asked_for,) = engine.asked[0]
    assert bytes_bpe().decode(asked_for).endswith(OPENING)
    (item,) = outcome.replayed
    experience = item.candidate.experience
    assert experience is not None
    assert (experience.bifurcation, experience.text) == (31, OPENING + WRITTEN)
    assert experience.heuristic == "If a case adds, then add."
    # What is learned is what the policy wrote, after the opening that it was given.
    (row,) = outcome.rows
    assert (row.context_ids, row.target_ids) == (asked_for, ids(f"{WRITTEN}<eos>", bytes_bpe()))
