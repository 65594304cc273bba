"""Does a meta-experience state the final answer?"""

import re

import pytest
from stories import ANALYSIS, PROMPTS, experience

from mel.stages.guard import states_answer

STEP = re.compile(r"(?i)steps?\s*(\d+)")


def leaks(text: str, answer: str) -> bool:
    return states_answer(experience(text=text), answer, step_reference=STEP)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("the answer is 48", "48"),
        ("the answer is 48.", "48"),
        ("so x=48, done", "48"),
        ("ends in (48)", "48"),
        ("ends in 3. Then stop", "3"),
        ("48", " 48 "),
        ("four is \N{FULLWIDTH DIGIT FOUR}\N{FULLWIDTH DIGIT EIGHT} in full width", "48"),
        ("the answer is $48$", "48"),
        (r"the answer is \(48\)", "48"),
        (r"the answer is \boxed{48}", "48"),
        (r"the answer is \boxed{\text{Tuesday}}", "Tuesday"),
        ("it is TUESDAY again", r"\text{Tuesday}"),
        (r"so we get \frac{1}{2} there", r"$\frac{1}{2}$"),
        (r"the point \left( 3, 4 \right)", "(3,4)"),
        ("the point (3 , 4)", r"\left(3,4\right)"),
        ("x = 3", "x=3"),
        ("about 1,234 ways", "1234"),
        (r"about 1{,}234 ways", "1,234"),
        (r"about 1\,234 ways", "1234"),
        (r"half, 50\% of it", "50%"),
        ("one gets -3 here", "-3"),
        ("one gets \N{MINUS SIGN}3 here", "-3"),
        ("it is 3.5 m", "3.5"),
        ("the difference 7 - 3 counts", "3"),
        ("the difference (a+b)-3 counts", "3"),
        ("- 48 is what comes out\n- so be it", "48"),
        ("between 3/4 and 1", "3"),
        ("the answer\nis sqrt 2", "sqrt 2"),
    ],
)
def test_an_answer_that_stands_by_itself_is_a_leak(text: str, answer: str) -> None:
    assert leaks(text, answer)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("the answer is 148", "48"),
        ("the answer is 480", "48"),
        ("the answer is 3.5", "3"),
        ("the answer is 13.5", "3.5"),
        ("the answer is 0.3", "3"),
        ("x3 is a variable", "3"),
        ("one gets -3 here", "3"),
        ("one gets \N{MINUS SIGN}3 here", "3"),
        ("x=-3", "3"),
        ("about 1,234 ways", "234"),
        ("about 1,234 ways", "1"),
        ("step 3 fails, Steps 3 and on too", "3"),
        ("Tuesdays are dull", "Tuesday"),
        ("no number at all", "48"),
        ("", "48"),
        ("anything", ""),
        ("anything", "  "),
        ("anything", "{}"),
    ],
)
def test_an_answer_inside_something_else_is_no_leak(text: str, answer: str) -> None:
    assert not leaks(text, answer)


def test_the_miniatures_step_labels_are_no_answers() -> None:
    reference = PROMPTS.sections.step_reference
    assert not states_answer(experience(text=ANALYSIS), "2", step_reference=reference)
    assert states_answer(experience(text=f"{ANALYSIS} = 2"), "2", step_reference=reference)


def test_letters_of_a_choice_count_only_as_words() -> None:
    assert leaks("choose (B) here", "B")
    assert leaks("choose option b here", "B")
    assert not leaks("bring both", "B")
