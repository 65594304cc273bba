from __future__ import annotations

import time

import pytest

from mel.verify import final_answer, last_boxed, plain_integer
from mel.verify.answers import formula_of_line


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (r"So \boxed{42}.", "42"),
        (r"First \boxed{41}, I mean \boxed{42}", "42"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed 7.", "7"),
        (r"\fbox{7}", "7"),
        (r"\boxed{x = \boxed{5}}", "5"),
        (r"\boxed{42} \boxed{42} \boxed{42}", "42"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{42.}", "42"),
        (r"so $x = -\boxed{42}$", "-42"),
        (r"$-\boxed{\frac{1}{2}}$", r"-\frac{1}{2}"),
        (r"it is -\boxed{a+b}", "-(a+b)"),
        (r"$\boxed{42}^2$", "42^2"),
        (r"$\boxed{42}\pi$", r"42\pi"),
        (r"\boxed{42}0", "420"),
        (r"$x = -\boxed{4}$ and $y = \boxed{2}$", "-4, 2"),
        (r"the sum - \boxed{42}", "42"),
        (r"x-\boxed{42}", "42"),
        (r"$\boxed{42}^\circ$, $\boxed{42}^{\circ}$", "42"),
        (r"\boxed{42}, \boxed{}5", "42"),
        (r"\boxed{42}\% or \boxed{42} cm!", "42"),
        (r"\boxed{6, \boxed{42}}", r"6, \boxed{42}"),
        (r"\boxed{\text{Not } \boxed{42}}", r"\text{Not } \boxed{42}"),
        (r"\boxed{\boxed{41}\boxed{42}}", r"\boxed{41}\boxed{42}"),
        (r"\boxed{\boxed{41}} or \boxed{42}", "41, 42"),
        (r"\boxed{ \boxed{42}", "42"),
        (r"\boxed{42}.5", "42.5"),
        (r"\boxed{42},000", "42,000"),
        (r"it is -$\boxed{42}$", "-42"),
        (r"a 3-$\boxed{42}$ vote", "42"),
    ],
)
def test_the_last_box_is_the_answer(response: str, expected: str) -> None:
    found = final_answer(response)
    assert found is not None
    assert found.text == expected


@pytest.mark.parametrize(
    "response",
    [
        r"$\boxed{1}$ and $\boxed{3}$",
        r"\boxed{1}, \boxed{3}",
        r"\[\boxed{1} \quad \text{and} \quad \boxed{3}\]",
        r"\(x_1 = \boxed{1}\) and \(x_2 = \boxed{3}\)",
    ],
)
def test_boxes_joined_by_a_connective_are_one_answer(response: str) -> None:
    found = final_answer(response)
    assert found is not None
    assert found.text == "1, 3"


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (r"He has \boxed{1} papers and \boxed{2} bins.", "1, 2"),
        (r"$\boxed{1}$ paper, $\boxed{2}$ bins, and $\boxed{3}$ pens", "1, 2, 3"),
        (r"It is \boxed{41} dollars or maybe \boxed{42}", "41, 42"),
        (r"It is \boxed{41}, perhaps \boxed{42}", "41, 42"),
        (r"\boxed{41} (alternatively $\boxed{42}$)", "41, 42"),
        (r"$\boxed{41} \lor \boxed{42}$", "41, 42"),
        (r"\boxed{41}/\boxed{42}", "41, 42"),
        (r"We have \boxed{5} and then the total is \boxed{7}", "7"),
        (r"They sell \boxed{5} apples. And \boxed{7}", "7"),
        ("There are \\boxed{5} apples and\n\\boxed{7}", "7"),
    ],
)
def test_boxes_of_one_sentence_are_one_answer_unless_the_last_is_derived(response: str, expected: str) -> None:
    found = final_answer(response)
    assert found is not None
    assert found.text == expected


def test_a_hedge_between_two_boxes_is_not_the_second_box() -> None:
    found = final_answer(r"It is \boxed{41} or \boxed{42}")
    assert found is not None
    assert found.text == "41, 42"


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (r"The answer is not $\boxed{42}$", r"\text{not }42"),
        (r"It can't be \(\boxed{42}\)", r"\text{not }42"),
        (r"$\boxed{42}$ is wrong", r"\text{not }42"),
        (r"\boxed{42}, which is not the answer", r"\text{not }42"),
        (r"It is not 41 but \boxed{42}", "42"),
        (r"If not, it is \boxed{42}", "42"),
        (r"\boxed{42} is not a prime", "42"),
        (r"\boxed{42}. It is wrong to stop here.", "42"),
    ],
)
def test_a_box_that_its_sentence_denies_states_no_answer(response: str, expected: str) -> None:
    found = final_answer(response)
    assert found is not None
    assert found.text == expected


@pytest.mark.parametrize(
    "response", ["", "42", "The answer is 42.", r"\boxed{42", r"\boxed{}", r"\boxed", "\\boxedx{1}"]
)
def test_a_response_without_a_closed_box_has_no_answer(response: str) -> None:
    assert final_answer(response) is None


def test_what_is_boxed_while_thinking_is_no_answer() -> None:
    assert final_answer(r"<think>maybe \boxed{42}</think> I give up") is None
    assert final_answer(r"<think>maybe \boxed{41}") is None
    found = final_answer(r"<think>maybe \boxed{41}</think> \boxed{42}")
    assert found is not None
    assert found.text == "42"


def test_a_literal_marker_takes_the_rest_of_its_line() -> None:
    found = final_answer("48/2 = 24\n#### 72\n", ("boxed", "####"))
    assert found is not None
    assert (found.text, found.marker) == ("72", "####")


def test_a_literal_marker_takes_a_formula_that_spans_lines() -> None:
    found = final_answer("**Answer:** \\[\n 9 \n\\] as said", ("Answer:",))
    assert found is not None
    assert found.text == "\\[\n 9 \n\\]"


def test_the_last_marker_counts_whichever_it_is() -> None:
    found = final_answer("#### 7\nwait: \\boxed{8}", ("boxed", "####"))
    assert found is not None
    assert found.text == "8"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("42", "42"), ("1,000", "1000"), ("+007", "7"), ("-0", "0"), ("000", "0"), ("$-12$", "-12"), (" 5 ", "5")],
)
def test_plain_integers_have_one_form(text: str, expected: str) -> None:
    assert plain_integer(text) == expected


@pytest.mark.parametrize("text", ["", "4.0", "1,00", "1 000", "\uff14\uff12", "4\u00b2", "x", "1e3", "--1", "0x1f"])
def test_anything_else_is_no_plain_integer(text: str) -> None:
    assert plain_integer(text) is None


def test_gold_of_a_worked_solution_is_its_last_box() -> None:
    assert last_boxed(r"$x = \boxed{\dfrac{3}{4}}$.") == r"\dfrac{3}{4}"
    assert last_boxed("no box") is None


def test_reading_a_megabyte_takes_no_time() -> None:
    start = time.process_time()
    for unit in (r"\boxed{", r"\boxed{1}", "{", "\\", "$ ", "<think>", "\n", "Answer: $$"):
        final_answer(r"\boxed{7}" + unit * (1_000_000 // len(unit)), ("boxed", "Answer:"))
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("<think>", "</think>"),
        ("<THINKING>", "</THINKING>"),
        ("<thought>", "</thought>"),
        ("<reasoning>", "</reasoning>"),
        ("[THINK]", "[/THINK]"),
        ("<|begin_of_thought|>", "<|end_of_thought|>"),
        ("\u25c1think\u25b7", "\u25c1/think\u25b7"),
    ],
)
def test_no_tag_of_thinking_lets_a_box_inside_count(opening: str, closing: str) -> None:
    assert final_answer(rf"{opening}so \boxed{{42}}{closing} I am not sure") is None
    assert final_answer(rf"{opening}so \boxed{{42}}") is None
    assert final_answer(rf"{opening}a{closing} b {opening} \boxed{{42}}{closing} c") is None
    assert final_answer(f"{opening}a{closing}\n{opening} \\boxed{{42}}") is None
    found = final_answer(rf"{opening}so \boxed{{41}}{closing} \boxed{{42}}")
    assert found is not None
    assert found.text == "42"


def test_a_word_about_a_tag_behind_the_block_voids_nothing() -> None:
    found = final_answer(r"<think>a</think> The tag <think> opens a block. \boxed{42}")
    assert found is not None
    assert found.text == "42"
    found = final_answer(r"<thought>a</thought> A <reasoning> tag is another. \boxed{43}")
    assert found is not None
    assert found.text == "43"


@pytest.mark.parametrize("answer", ["42...", r"42\ldots"])
def test_dots_are_part_of_an_answer(answer: str) -> None:
    found = final_answer(rf"\boxed{{{answer}}}")
    assert found is not None
    assert found.text == answer


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("We find that $x < 3$ holds", "x < 3"),
        (r"so it is \(\frac12\)", r"\frac12"),
        ("$5$ hours and $20$ minutes", "$5$ hours and $20$ minutes"),
        ("3 times $4$", "3 times $4$"),
        ("it is not $4$", "it is not $4$"),
        ("Not $4$", "Not $4$"),
        ("72", "72"),
        ("so the area of the square is $4$.", "4"),
        ("the minimum is **$4$**", "4"),
        ("$4$ more pears are left", "4"),
        *((line, line) for line in ["-$4$", "u$4$", "$4$!", "half of $4$", "minus $4$", "the square root of $4$"]),
        *((line, line) for line in ["$4$ million", "$4$ dozen", "$4$ squared", "never $4$", "less than $4$"]),
        *((line, line) for line in ["cannot be $4$", "$4$, rejected", "$4$ is impossible", "nearly $4$", "maybe $4$"]),
        *((line, line) for line in ["$4$ lakh", "beyond $4$", "twenty $4$", "two, $4$", "$4$, seven", "a pair of $4$"]),
        ("$4$ two-digit numbers", "4"),
    ],
)
def test_the_only_formula_of_a_line_is_its_answer(line: str, expected: str) -> None:
    assert formula_of_line(line) == expected
