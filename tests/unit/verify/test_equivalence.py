"""What answers what: for every kind of fault a right value, and another instance of the same kind."""

from __future__ import annotations

import pytest

from mel.verify.symbolic import Job, judge


def is_right(gold: str, answer: str, **rules: object) -> bool:
    return judge(Job(gold=gold, answer=answer, percent_is_free=False)._replace(**rules))[0]


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("27", r"\,27\,"), ("27", r"27\;"), ("27", r"27\ "), ("y-2", r"y-2\,"),
        (r"\frac{3}{8}", r"\frac{3}{8}\ \,"),
        ("27", r"\boldsymbol{27}"), ("27", r"\mathsf{27}"), ("27", r"\textcolor{blue}{27}"),
        ("a-b", r"\mathbf{a-b}"),
        ("y^2-3", "y²-3"), (r"\sqrt{7}", "√7"), ("34", "３４"), ("34", "34。"), ("34", "34，"),  # noqa: RUF001
        ("(-∞, 4)", r"(-\infty,4)"),
        ("-8", "–8"), (r"\frac{5+u}v", r"\dfrac{u+5}{v}"), ("7300", r"7\,300"), ("7300", "7{,}300"),  # noqa: RUF001
        ("7300", "7 300"),
        ("0.002", "2e-3"), ("4.5e2", "450"), (r"\frac{7}{2}", "3 1/2"),
        (r"\frac{2}{3}", r"0.\overline{6}"),
        (r"0.2\overline{7}", r"\frac{5}{18}"), (r"-\frac{1}{6}", "-1./6"), ("31", r"€31"),
        ("31", "31元"), ("31", r"\$31"),
    ],
)  # fmt: skip
def test_another_notation_is_the_same_value(gold: str, answer: str) -> None:
    assert is_right(gold, answer)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("-7,0", "-7"),
        ("4,6", "4.6"),
        ("8,25", "8.25"),
        ("0,3", "0.3"),
        ("12,34", "1234"),
        ("5,000", "5"),
        ("1.000", "1000"),
    ],
)
def test_a_list_of_two_numbers_is_no_decimal_number(gold: str, answer: str) -> None:
    assert not is_right(gold, answer)
    assert not is_right(gold, answer, has_parts=True)
    assert is_right(gold, gold.replace(",", ", ") if gold != "5,000" else "5000")


@pytest.mark.parametrize(
    ("gold", "equal", "other"),
    [
        (r"\{t|-4\leq t < 9\}", "[-4,9)", "9"),
        (r"\{t|-4\leq t < 9\}", r"\{t \mid -4 \le t < 9\}", r"\{t|-5\leq t < 9\}"),
        (r"\{u \mid u > 2\} - \{5\}", r"(2,5)\cup(5,\infty)", r"(2,\infty)"),
        (r"z\equiv 4\pmod 9", r"z \equiv 4 \pmod{9}", r"z\equiv 5\pmod 9"),
        (r"z\equiv 4\pmod 9", r"z\equiv 4\pmod 9", "9"),
        (r"\lim_{k\to\infty}b_k=6", r"\lim_{k\to\infty} b_k = 6", r"\lim_{k\to\infty}b_k=7"),
        (r"\frac{du}{dv}=5v", "5v", r"\frac{du}{dv}=4v"),
        (r"\gamma^3+2", r"2+\gamma^3", r"\gamma^3+3"),
        ("E_{2}-E_{1}", "-E_1+E_2", "E_1-E_2"),
        ("g''+4g=0", "4g+g''=0", "g''-4g=0"),
        ("w'", "w'", "w"),
    ],
)
def test_a_formula_is_read_whole_or_compared_as_text(gold: str, equal: str, other: str) -> None:
    assert is_right(gold, equal)
    assert not is_right(gold, other)


@pytest.mark.parametrize("gold", ["???", "see solution", "", "-", "N/A", "..."])
def test_a_gold_that_states_nothing_is_unreadable_even_word_for_word(gold: str) -> None:
    assert judge(Job(gold=gold, answer=gold))[1] == "unreadable_gold"
    assert judge(Job(gold=gold, answer="5"))[1] == "unreadable_gold"


@pytest.mark.parametrize(
    ("gold", "equal", "other"),
    [
        (r"\frac{29}{6} g", r"\frac{29g}{6}", r"\frac{29}{6}"),
        ("7s", "s+6s", "7"),
        ("4L", r"L\cdot 4", "4"),
        ("y+2d", "2d+y", "y+2"),
        (r"5\pi m", r"m \cdot 5\pi", r"5\pi"),
        ("65", r"65\text{ g}", "65x"),
        ("65", "65 kg", "65g+1"),
        (r"9 $cm^{2}$", r"9 \text{ cm}^2", "cm^2"),
        (r"18\ \mathrm{m\,s^{-1}}", "18", r"18\text{ km}"),
        ("6", r"6\ \mu\text{m}", r"6\mu"),
    ],
)
def test_a_last_letter_is_a_variable_and_a_unit_stands_in_text(gold: str, equal: str, other: str) -> None:
    assert is_right(gold, equal)
    assert not is_right(gold, other)


@pytest.mark.parametrize(
    ("gold", "equal", "other"),
    [
        (
            r"12\text{ pears}, 30\text{ plums}",
            r"12\text{ pears and }30\text{ plums}",
            r"12\text{ pears}, 31\text{ plums}",
        ),
        (r"12\text{ pears}, 30\text{ plums}", "12, 30", "12"),
        (r"4 \text{ hours } 15 \text{ minutes}", "4 hours 15 minutes", r"4 \text{ hours } 45 \text{ minutes}"),
        (r"8 \text{ kg } 200 \text{ g}", r"8 \text{ kg } 200 \text{ g}", r"8 \text{ kg } 300 \text{ g}"),
        ("9am", r"9\text{ am}", "9pm"),
        (r"3\text{ ft}", r"3\text{ feet}", r"3\text{ in}"),
        (r"11\text{ west}", r"11 \text{ west}", r"11\text{ east}"),
        (r"9\text{ u}", r"9 \text{ u}", r"9\text{ v}"),
        ("8:20", "8:20", "8:02"),
        (r"25^\circ 10'", r"25^{\circ} 10^{\prime}", r"25^\circ 20'"),
        ("44", "44, altogether", "44, 3 of them red"),
        ("44", "44 pupils", r"44\text{ dozen}"),
        (r"6\text{ mm}", r"6 \text{ mm}", "6 m"),
        (r"6\text{ grams}", "6 g", "6 h"),
        ("6 days", "6 days", "6 s"),
        (r"\$6", "6 dollars", r"6\text{ cents}"),
        (r"6\text{ cents}", "6", r"\$6"),
        (r"2\text{ joules}", "2 J", "2 W"),
        (r"9\text{ a.m.}", r"9\text{ am}", r"9\text{ p.m.}"),
        ("44", "44 K", "44K"),
        ("44", r"44\text{ u}", r"44\text{k}"),
        ("44", r"44\text{ square inches}", r"\text{square of }44"),
        ("44", r"\text{as many as }44", r"\text{opposite of }44"),
    ],
)
def test_every_number_and_every_word_that_matters_is_accounted_for(gold: str, equal: str, other: str) -> None:
    assert is_right(gold, equal)
    assert not is_right(gold, other)


@pytest.mark.parametrize(
    ("gold", "equal", "other"),
    [
        ("14,5,2,2", "2,14,2,5", "14,5,2"),
        ("-6,-6", "-6, -6", "-6"),
        ("3,3,8", "3,8,3", "3,8,8"),
        (r"(1,1),(1,1),(2,0)", "(2,0),(1,1),(1,1)", "(1,1),(2,0)"),
        ("19", r"19 \text{ or } 19", "19, 20"),
        (r"\frac{7}{2}", r"3\frac{1}{2}, \frac{7}{2}", r"3\frac{1}{3}, \frac{7}{2}"),
        ("19", "x=19, x=19", "x=19, y=19"),
    ],
)
def test_a_repeated_value_counts_as_often_as_the_gold_has_it(gold: str, equal: str, other: str) -> None:
    assert is_right(gold, equal)
    assert not is_right(gold, other)


@pytest.mark.parametrize(
    ("gold", "equal", "other"),
    [
        ("y^2", r"\text{y}^2", "y"),
        ("y", r"\mathrm{y}", r"\mathrm{y}^3"),
        ("y+4", r"\text{y}+4", r"\text{y}^2+4"),
        ("7y", r"7\text{y}", "7"),
        (r"\arcsin u", r"\operatorname{arcsin} u", "u"),
        (r"\cosh 3", r"\mathrm{cosh}\,3", "3"),
        (r"\ln 3", r"\text{ln }3", "3"),
        (r"\cot 3", r"\operatorname{ctg} 3", "3"),
        (r"3\pi", r"3\text{ pi}", "3"),
        (r"\operatorname{sgn}(3)", r"\operatorname{sgn}(3)", "3"),
        (r"\text{phi}(3)", r"\text{phi}(3)", "3"),
        ("3", r"\text{Volume}(PQR)=3", r"\mathrm{Im}(3)"),
    ],
)
def test_upright_letters_are_names_and_functions_as_slanted_ones_are(gold: str, equal: str, other: str) -> None:
    assert is_right(gold, equal)
    assert not is_right(gold, other)
    assert not is_right(other, gold)


@pytest.mark.parametrize(
    ("gold", "equal", "other"),
    [
        (r"\frac{\pi}{4}", r"45^\circ", r"\frac{\pi}{4}^\circ"),
        (r"45^\circ", r"\frac{\pi}{4}\text{ rad}", r"45\text{ radians}"),
        (r"45^\circ", "45", "45 rad"),
        (r"\{3,500\}", r"\{500, 3\}", "3500"),
        ("3500", "3,500", r"\{3,500\}"),
        ("-7", "1-8", r"\begin{vmatrix}2&3\\5&4\end{vmatrix}"),
    ],
)
def test_what_is_written_alike_but_means_another_value_is_no_answer(gold: str, equal: str, other: str) -> None:
    assert is_right(gold, equal)
    assert not is_right(gold, other)


def test_the_parts_of_a_gold_may_be_answered_by_a_tuple_where_the_task_says_so() -> None:
    assert is_right("a=4,b=-1", "(4,-1)", has_parts=True)
    assert not is_right("a=4,b=-1", "(-1,4)", has_parts=True)
    assert not is_right("4,-1", "(4,-1)")


@pytest.mark.parametrize(
    "answer",
    [
        r"56 \mid 57", r"57 \approx 58", r"\neq 57", "> 57", r"\le 57", "58=57", r"56\cdot 1=57",
        r"57\text{ is wrong}", r"56\cup 57",
        r"56 \\ 57", r"56 \Rightarrow 57", r"56 \to 57", r"56\equiv 57", "57_{3}",
        r"57\ldots", "57...", r"57\text{ or so}", "57'",
        r"\text{not }57", r"57\text{ isn't it}", r"\text{cannot be }57",
        r"\text{unlikely }57", r"\text{nearly }57",
        r"57\text{ might be}",
        r"57\text{ lakh}", r"\text{beyond }57", r"57\text{ deficit}", r"56, \boxed{57}",
        r"57 (\text{or }58)", r"\overline{57}", "57?",
        r"57\text{ to }58", r"57\pm 1",
        r"\sqrt{3249}", r"\sum_{k=1}^{57}1", r"\gcd(57,114)", r"\max(56,57)", r"\lim_{x\to 57}x",
        r"\frac{57}{0}", "57+C", "57i",
    ],
)  # fmt: skip
def test_a_hedge_or_a_relation_in_the_box_is_no_answer(answer: str) -> None:
    assert not is_right("57", answer)


@pytest.mark.parametrize(
    "answer", [r"3\cdot 19", "57+0", r"x = 57", r"x \approx 57", "57=57", r"\frac{114}{2}", "(57)", "|{-57}|"]
)
def test_arithmetic_and_a_name_are_an_answer(answer: str) -> None:
    assert is_right("57", answer)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (r"\frac{1}{30!}", r"\frac{1}{31!}"), (r"\frac{1}{3^{70}}", r"\frac{1}{3^{71}}"),
        ("0.0000003", "0.0000004"), ("10^{40}", "10^{40}+1"),
        ("2^{90}+1", "2^{90}"), (r"\frac{1}{7000000}", "0"), (r"10^{30}y+1", "10^{30}y"),
        (r"\frac{1}{0}", r"\frac{2}{0}"),
        (r"\log_4 5", r"\log_5 4"), ("31_6", "31_7"), (r"\log_4 y", r"\log_5 y"),
        ("F_{n-1}", "F_{n+1}"), ("ABC", "ABD"),
        ("7", "6.9999999"), ("0.143", r"\frac17"), (r"\frac17", "0.143"), ("|y|", "y"), ("3(4)", "7"),
        (r"2\binom{5}{2}", "12"),
    ],
)  # fmt: skip
def test_nearly_is_not_equal(gold: str, answer: str) -> None:
    assert not is_right(gold, answer)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (r"\frac17", "0.142857"), (r"\sqrt3", "1.732051"), ("12", "3(4)"), ("20", r"2\binom{5}{2}"),
        (r"\ln 5", r"\log_e 5"),
        ("31_6", "31_{6}"), ("31_6", "31"), (r"\log_4 5", r"\frac{\ln 5}{\ln 4}"),
        (r"2\arcsin\sqrt{u}", r"\arccos(1-2u)"),
        (r"\sqrt{1/k}", r"\frac{1}{\sqrt k}"), (r"\cot t\cdot\ln t", r"\frac{\ln t}{\tan t}"),
        ("9-2i", "9.0-2.0i"),
        (r"\frac{e^{v}-e^{-v}}{2}", r"\sinh(v)"), (r"\zeta(4)", r"\frac{\pi^4}{90}"),
        (r"\ln 5/2", r"\frac{\ln 5}{2}"),
    ],
)  # fmt: skip
def test_equal_values_are_equal_in_any_form(gold: str, answer: str) -> None:
    assert is_right(gold, answer)


@pytest.mark.parametrize(
    ("gold", "equal", "other"),
    [
        ("(0,7.5)", "0<y<7.5", r"0<y\le 7.5"),
        (r"(-\infty,6)", "t<6", "t>6"),
        (r"[6,\infty)", r"t\ge 6", "t>6"),
        (r"(-\infty,4)\cup(4,\infty)", r"y\ne 4", r"y\ne 5"),
        (r"t\le -3 \text{ or } t = 2", r"(-\infty,-3]\cup\{2\}", r"(-\infty,-3]"),
        (r"(-2,5)", "(-2,5)", r"(-2,5), \frac14"),
        (r"\varnothing", r"\emptyset", "0"),
        ("p < q", "q > p", "q < p"),
        ("3u+v=4", "6u+2v=8", "3u+v=5"),
        ("3u+v=4", "v=4-3u", "4"),
        ("u^2+v^2=4", "u^2=4-v^2", "u^2-v^2=4"),
        ("t < 6", "-t > -6", "-t < -6"),
        ("(5,1),(6,2)", "(6, 2), (5,1), (6,2)", "(5,1), (5, 1)"),
        (r"\begin{cases}u=3\\v=5\end{cases}", "v=5, u=3", "u=5, v=3"),
        (r"\begin{pmatrix}4\\5\end{pmatrix}", "(4,5)", r"\begin{pmatrix}4&5\end{pmatrix}"),
        (r"(1,-\sqrt5),(1,\sqrt5)", r"(1,\pm\sqrt5)", r"(1,\sqrt5)"),
    ],
)
def test_sets_and_relations_agree_in_any_notation(gold: str, equal: str, other: str) -> None:
    assert is_right(gold, equal)
    assert not is_right(gold, other)


@pytest.mark.parametrize(
    ("gold", "equal", "other"),
    [
        ("B(r)=6r+1", "B(r)=1+6r", "B(r)=6r"),
        ("h(x)=x-4", "y = x-4", "g(x)=x-4"),
        ("z=8", "8", "2z=16"),
        ("5,9", "u=5, v=9", "u=9, v=5"),
        ("u=5,v=9", "5,9", "9,5"),
        ("k=3,4", "k=4, k=3", "k=3,5"),
        (r"x=k\pi", r"n\pi", r"2n\pi"),
        ("M_{\\max}=q+1", "q+1", "q+2"),
        ("3:8", "3:8", "8:3"),
    ],
)
def test_a_value_may_carry_its_name(gold: str, equal: str, other: str) -> None:
    assert is_right(gold, equal)
    assert not is_right(gold, other)


@pytest.mark.parametrize("answer", ["E", "(E)", r"\textbf{(E)}\ 14", "(E) (3,1)", "E) 14", "E: 5y", "e"])
def test_a_choice_may_stand_before_its_content(answer: str) -> None:
    assert is_right("E", answer)


@pytest.mark.parametrize("answer", ["(D) (3,1)", "(E) or (D)", "(E)(D)", "E: D is wrong", "E. D", "5y", "not E"])
def test_another_choice_beside_it_is_a_hedge(answer: str) -> None:
    assert not is_right("E", answer)


def test_several_choices_come_in_any_order() -> None:
    assert is_right("ADE", "D, A, E")
    assert not is_right("ADE", "A, D")


@pytest.mark.parametrize("answer", ["yes or no", r"\text{not yes}", "no", r"\text{yes and no}"])
def test_a_word_is_no_other_word(answer: str) -> None:
    assert is_right(r"\text{yes}", "Yes")
    assert not is_right(r"\text{yes}", answer)


@pytest.mark.parametrize(
    ("gold", "answer", "asked", "other"),
    [
        ("37.5", r"37.5\%", True, False),
        (r"\frac{75}{2}", r"37.5\%", True, False),
        (r"37.5\%", "37.5", True, False),
        ("0.375", r"37.5\%", True, True),
        (r"37.5\%", "0.375", True, True),
        ("37.5", "0.375", False, False),
        (r"37.5\%", r"37.50\%", True, True),
    ],
)
def test_a_percentage_is_a_number_only_where_one_is_asked(gold: str, answer: str, *, asked: bool, other: bool) -> None:
    assert is_right(gold, answer, percent_is_free=True) == asked
    assert is_right(gold, answer) == other


def test_a_degree_sign_may_be_left_out_and_radians_written_instead() -> None:
    assert is_right(r"80^\circ", "80")
    assert is_right(r"90^\circ", r"\frac{\pi}{2}")
    assert not is_right(r"\frac{\pi}{2}", "90")


def test_a_variable_in_the_other_case_is_another_variable() -> None:
    assert not is_right("4r^2", "4R^2")


def test_names_do_not_matter_where_the_format_says_so() -> None:
    assert not is_right("u+1", "v+1")
    assert is_right("u+1", "v+1", strict=False)
