"""A gold that the verifier cannot use makes every response to its problem wrong: it is found before training."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mel.evaluate.golds import Golds, examine_golds, rewritten
from mel.types import Problem, Verdict


class Reader:
    """Reads numbers and fractions; of fractions it knows one spelling only."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def stating(self, answer: str) -> str:
        return f"so [{answer}]"

    def verify(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Verdict]:
        self.asked += [p.answer for p in problems]
        return [self._one(p.answer, r) for p, r in zip(problems, responses, strict=True)]

    def _one(self, gold: str, response: str) -> Verdict:
        if not any(c.isdigit() for c in gold):
            return Verdict(is_correct=False, reason="unreadable_gold")
        is_right = response.removeprefix("so [").removesuffix("]").strip() == gold
        return Verdict(is_correct=is_right, reason="right" if is_right else "wrong")


def problems(*golds: str) -> list[Problem]:
    return [Problem(id=f"p{i}", text="?", answer=gold) for i, gold in enumerate(golds)]


def test_golds_that_cannot_be_read_and_golds_unequal_to_themselves_are_told_apart() -> None:
    found = examine_golds(problems("3", "see solution", "x_1", r"\frac{1}{2}", "x_1"), Reader())
    assert found == Golds(
        different=4,
        unreadable=(("p1", "see solution"),),
        unequal=(("p3", r"\frac{1}{2}", "wrong"),),
    )


def test_equal_golds_are_looked_at_once_and_integers_need_no_reading() -> None:
    reader = Reader()
    assert examine_golds(problems("1", "1,000", "x_1", "x_1", "x_1"), reader).different == 3
    assert reader.asked == ["x_1", "x_1"]  # can it be read; is it equal to itself


def test_the_same_answer_for_another_unit_is_another_gold() -> None:
    metre, none = Problem(id="a", text="?", answer="x_1", metadata={"unit": "m"}), problems("x_1")[0]
    assert examine_golds([metre, none], Reader()).different == 2


@pytest.mark.parametrize(
    ("gold", "again"),
    [
        (r"$\frac{1}{2}$", r"\dfrac{1}{2}"),
        (r"\left(1, 2\right)", "(1, 2)"),
        (r"\left\{1\right\}", r"\{1\}"),
        ("x=3", "x = 3"),
        (r"\leftarrow", r"\leftarrow"),
        (r"\left.x\right|", r"\left.x|"),
    ],
)
def test_a_gold_is_written_in_another_way(gold: str, again: str) -> None:
    assert rewritten(gold).strip() == again


def test_the_verifier_of_mathematics_is_asked_in_its_own_format() -> None:
    pytest.importorskip("pebble")
    from mel.tasks import load

    boxed = load("dataset", source="d.jsonl")
    marked = load("dataset", source="d.jsonl", markers=("Answer:",))
    assert boxed.stating("x") == r"\boxed{x}"  # type: ignore[attr-defined]
    assert marked.stating("x") == "Answer: x"  # type: ignore[attr-defined]
    golds = examine_golds(problems("see the solution", r"\frac{3}{4}", "12"), boxed)  # type: ignore[arg-type]
    assert (golds.different, golds.unequal) == (3, ())
