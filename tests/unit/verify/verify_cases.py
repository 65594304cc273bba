"""Answers made to hang, crash or bloat a verifier; every one must come back as a counted verdict."""

from __future__ import annotations

from mel.types import Problem

DEEP = 5000

ANSWERS: dict[str, str] = {
    "tower of powers": "10^{10^{10}}",
    "taller tower": "9^{9^{9^{9}}}",
    "power of a power without braces": "10**10**10",
    "factorial": "100000000!",
    "nested factorials": "((10!)!)!",
    "binomial": r"\binom{10^{9}}{5 \cdot 10^{8}}",
    "infinite sum": r"\sum_{n=1}^{\infty} \frac{\sin(n^{n})}{n!^{n}}",
    "divergent sum": r"\sum_{n=1}^{\infty} n^{n^{n}}",
    "long product": r"\prod_{k=1}^{10^{8}} (k^{k} + 1)",
    "nested integral": r"\int_0^1 \int_0^1 \int_0^1 \sqrt{x^{y^{z}} + \sin(xyz)^{\cos(x)}} dx dy dz",
    "limit": r"\lim_{x \to 0} \frac{\sin(\sin(\sin(\sin(\sin(x)))))}{x^{x^{x^{x}}}}",
    "deep fractions": r"\frac{1}{1+" * 60 + "1" + "}" * 60,
    "deep roots": r"\sqrt{2+" * 60 + "2" + "}" * 60,
    "deep parentheses": "(" * 150 + "1" + ")" * 150,
    "expanding product": "(x+1)" * 150,
    "big exponent polynomial": "(a+b+c+d+e+f)^{500}",
    "solve a quintic tower": r"x^{5^{5}} + x^{4^{4}} + x^{3^{3}} + 1 = 0",
    "hard zero": r"\sqrt{2}^{\sqrt{2}^{\sqrt{2}^{\sqrt{2}}}} - \sqrt[7]{3^{1000} + 2^{999}}",
    "interval union": r" \cup ".join(f"({i}, {i + 1})" for i in range(60)),
    "large set": r"\{" + ", ".join(str(i) for i in range(220)) + r"\}",
    "matrix power": r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}^{10^{9}}",
    "trigonometric tangle": r"\sin(\cos(\tan(" * 30 + "x" + ")))" * 30,
    "code": "__import__('os').system('touch /tmp/mel_was_here')",
    "NUL bytes": "4\x002\x00",
    "circled digits": "\u2463\u2461",
    "superscript digits": "4\u00b2",
    "arabic digits": "\u0664\u0662",
    "lone surrogate": "\ud8004\udfff2",
    "right-to-left override": "\u202e24",
    "empty braces": "{}" * 400,
    "unbalanced escapes": r"\frac\frac\frac\sqrt\left\left(\right",
    "macro bomb": r"\def\a{\a\a}\a",
    "nothing but commands": r"\left" * 150,
    "percent forest": r"\%" * 400,
}
"""What stands in the box; all below the length cap, so that the worker really meets them."""

RESPONSES: dict[str, str] = {
    "deep braces": r"\boxed{" + "{" * DEEP + "42" + "}" * DEEP + "}",
    "deep fractions": r"\boxed{" + r"\frac{1}{" * DEEP + "2" + "}" * DEEP + "}",
    "deep boxes": r"\boxed{" * DEEP + "42" + "}" * DEEP,
    "unclosed boxes": r"\boxed{" * DEEP,
    "a megabyte of ones": r"\boxed{" + "1 " * 500_000 + "}",
    "a megabyte of text": "so " * 350_000,
    "a megabyte of boxes": r"\boxed{1}" * 120_000,
    "a megabyte of open braces": r"\boxed{" + "{" * 1_000_000,
    "a megabyte of backslashes": "\\boxed{" + "\\" * 1_000_000 + "}",
    "a megabyte of dollars": r"\boxed{1}" + "$" * 1_000_000 + r"\boxed{2}",
    "a megabyte of thinking": "<think>" * 150_000,
    "a megabyte of spaces": "\\boxed{1}" + " " * 1_000_000 + "\\boxed{2}",
    "NUL bytes around": "\x00" * 1000 + r"\boxed{4" + "\x00" * 1000 + "2}",
}
"""Whole responses, most of them stopped before they reach a worker."""


def problem(answer: str, text: str = "How many are there?", **metadata: object) -> Problem:
    return Problem(id="p", text=text, answer=answer, metadata=metadata)
