r"""One notation for the many ways to write the same formula: text in, text out, nothing is evaluated.

Gold and answer go through the same rewriting, so that `２½`, `2\tfrac12`, `\boldsymbol{2\,\frac{1}{2}}` and `2 1/2`
end as one text. What is left unknown stays as it is, and the parser will refuse it.
"""

from __future__ import annotations

import re

from mel.verify.vocabulary import FUNCTIONS, OPERATORS

_SYMBOLS = {
    "−": "-", "–": "-", "—": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ",  # noqa: RUF001
    "÷": "/", "∞": r"\infty ", "π": r"\pi ", "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ",  # noqa: RUF001
    "λ": r"\lambda ", "≤": r"\le ", "≥": r"\ge ", "⩽": r"\le ", "⩾": r"\ge ", "≠": r"\neq ",
    "≈": r"\approx ", "≡": r"\equiv ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ",  # noqa: RUF001
    "∅": r"\emptyset ", "±": r"\pm ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "°": r"^\circ ",  # noqa: RUF001
    "℃": r"^\circ ", "′": "'", "’": "'", "。": ".", "、": ",", "½": r"\frac{1}{2}",  # noqa: RUF001
    "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}",
    "\u00a0": " ", "\u2009": " ", "\u202f": " ",
}  # fmt: skip
_TABLE = str.maketrans({**_SYMBOLS, **{chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}})
_SUPERSCRIPT = re.compile("([⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+)")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
MONEY = re.compile(r"\\\$|\\euro|\\pounds|[€£¥₹₽₩]")
"""A sign of whole dollars, euros or the like; a bare dollar sign sets a formula."""
_CURRENCY = re.compile(rf"{MONEY.pattern}|\$")

_GROUP = r"\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"
_TEXT = re.compile(r"\\(?:text(?:bf|it|rm|sf|tt|normal|up|md)?|m?box|hbox|mathrm|operatorname\*?|emph)\s*" + _GROUP)
_STYLE = re.compile(r"\\(?:mathbf|boldsymbol|bm|pmb|mathsf|mathit|mathnormal|underline|boxed|fbox)\s*" + _GROUP)
_COLOR = re.compile(r"\\(?:textcolor|color)\s*\{[a-zA-Z]+\}\s*(?:" + _GROUP + r")?")
_FONT = re.compile(r"\{\s*\\(?:bf|rm|it|sf)\s+([^{}]*)\}")
_DROPPED = re.compile(
    r"\\(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|limits|nolimits|phantom\{[^{}]*\})(?![a-zA-Z])\.?"
    r"|\\(?:tag|label)\s*\{[^{}]*\}|\\[()\[\]]"
)
_SAME = {
    r"\\[dtc]frac(?![a-zA-Z])": r"\\frac", r"\\[lr]vert(?![a-zA-Z])|\\[lr]Vert(?![a-zA-Z])|\\vert(?![a-zA-Z])": "|",
    r"\\leqslant(?![a-zA-Z])|\\leq(?![a-zA-Z])|<=": r"\\le ", r"\\geqslant(?![a-zA-Z])|\\geq(?![a-zA-Z])|>=": r"\\ge ",
    r"\\lt(?![a-zA-Z])": "<", r"\\gt(?![a-zA-Z])": ">", r"\\ne(?![a-zA-Z])|\\not\s*=|!=": r"\\neq ",
    r"~=|\\simeq(?![a-zA-Z])|\\doteq(?![a-zA-Z])": r"\\approx ", r"\\[lr]brace(?![a-zA-Z])": "", r"\\lbrack": "[",
    r"\\rbrack": "]", r"\\varnothing(?![a-zA-Z])|\\O(?![a-zA-Z])|\\\{\s*\\\}": r"\\emptyset ",
    r"\\lg(?![a-zA-Z])": r"\\log_{10}", r"\\log_(?:e|\{e\})(?![a-zA-Z])": r"\\ln ", r"\\div(?![a-zA-Z])": "/",
    r"\\ast(?![a-zA-Z])|\*": r"\\cdot ", r"\\degrees?(?![a-zA-Z])": r"^\\circ ", r"\^\s*\{\s*\\circ\s*\}": r"^\\circ ",
    r"\\backslash(?![a-zA-Z])": r"\\setminus ", r"\\arc(sin|cos|tan)h?": r"\\arc\1", r"\\prime(?![a-zA-Z])": "'",
    r"\^\s*\{\s*('+)\s*\}|\^('+)": r"\1\2", r"\\space(?![a-zA-Z])": " ",
}  # fmt: skip
_SAMES = [(re.compile(pattern), new) for pattern, new in _SAME.items() if "brace" not in pattern]
_THOUSANDS = re.compile(r"(?<=[0-9])(?:\\[,;:! ]|~|\s?\{\s*,\s*\}|,\\!)\s*(?=[0-9]{3}(?![0-9]))")
_SPACES = re.compile(r"\\(?:q?quad|hfill)(?![a-zA-Z])|\\hspace\{[^{}]*\}|(?<!\\)\\[,;:!>]|(?<!\\)\\(?=\s)|[~\s]")
_SCIENTIFIC = re.compile(r"(?<![\w.}])([0-9]+(?:\.[0-9]+)?)[eE]([+-]?[0-9]{1,4})(?![\w.])")
_REPEATING = re.compile(r"([0-9]*)\.([0-9]*)\\(?:overline|bar|dot)\s*\{([0-9]+)\}")
_MIXED = re.compile(r"(?<![\w.^/}_])([0-9]+)\s+([0-9]+)\s*/\s*([0-9]+)(?![\w.])")
_BARE_FUNCTION = re.compile(
    r"(?<![\\a-zA-Z])(sqrt|arcsin|arccos|arctan|sin|cos|tan|ln|log|infinity|infty|pi)(?![a-zA-Z])"
)
_ROOT = re.compile(r"√\s*(?:\(([^()]*)\)|([0-9]+|[a-zA-Z]))")
_EDGE = re.compile(r"^(?:[\s.,;:]|\\\\)+(?![0-9])|^[\s,;:]+|(?:[\s,;:]|(?<!\.)\.|\\\\|(?<!\\)\\$)+$")
_PHRASE = re.compile(
    r"^\s*\\text\s*\{\s*(?:(?:so|thus)\s+)?(?:the\s+)?(?:final\s+)?answer(?:\s+is)?\s*:?\s*\}",
    re.IGNORECASE,
)
_SUPER_FIRST = re.compile(r"([a-zA-Z])\^\s*(\{[^{}]*\}|[0-9a-zA-Z])\s*_\s*(\{[^{}]*\}|[0-9a-zA-Z])")
_ARGUMENT = re.compile(r"\s*(\{|\\[a-zA-Z]+|[0-9a-zA-Z])")


def normalized(text: str) -> str:
    """The text in one notation; equal texts afterwards are equal formulas, different ones may still be."""
    if not re.search(r"matrix|cases|array|align", text):
        text = re.sub(r"\\\\(?=[a-zA-Z])", r"\\", text)  # commands that were escaped twice
    text = re.sub(r"\\?\"", " ", text)
    text = _SUPERSCRIPT.sub(lambda match: "^{" + match[1].translate(_SUPERSCRIPTS) + "}", text)
    text = _ROOT.sub(lambda match: rf"\sqrt{{{match[1] or match[2]}}}", text).translate(_TABLE)
    text = re.sub(r"\\text\s*\{\s*infinity\s*\}", r"\\infty ", text)
    text = _PHRASE.sub("", text)
    text = re.sub(r"\\mu\s*\\text\{", r"\\text{μ", _unwrapped(_CURRENCY.sub(" ", text)))
    text = _DROPPED.sub(" ", _THOUSANDS.sub("", text))
    for pattern, new in _SAMES:
        text = pattern.sub(new, text)
    text = re.sub(r"\s+", " ", _SPACES.sub(" ", text))
    text = _BARE_FUNCTION.sub(lambda match: "\\" + match[1].replace("infinity", "infty"), text)
    text = _SUPER_FIRST.sub(r"\1_\3^\2", _numbers(text))
    return bare_edges(_braced_fractions(text))


def canonical(text: str) -> str:
    r"""A normalized text without its spaces and idle braces: `x^{2} + 1` is `x^2+1`."""
    kept = re.sub(r"(?<=[0-9])\s+(?=[0-9])|(?<=[a-zA-Z])\s+(?=[a-zA-Z])", "\x00", text)
    return re.sub(r"\{([0-9a-zA-Z])\}(?![0-9])", r"\1", kept.replace(" ", "")).replace("\x00", " ")


def bare_edges(text: str) -> str:
    """Without spaces and punctuation at its ends."""
    return _EDGE.sub("", text).strip()


def group_end(text: str, start: int) -> int:
    """Where the braced group that opens at `start` ends, one past its brace; -1 if it never does."""
    depth = 0
    for at in range(start, len(text)):
        if text[at] == "\\":
            continue
        if text[at] in "{}" and text[at - 1 : at] != "\\":
            depth += 1 if text[at] == "{" else -1
            if depth == 0:
                return at + 1
    return -1


def _unwrapped(text: str) -> str:
    r"""Style commands gone, and every way to set words turned into `\text{...}`."""
    for _ in range(4):
        before = text
        text = _COLOR.sub(lambda match: match[1] or " ", text)
        text = _FONT.sub(r"\1", _STYLE.sub(r"\1", text))
        if text == before:
            break
    return _TEXT.sub(_words_or_symbols, text)


def _words_or_symbols(match: re.Match[str]) -> str:
    """Upright text: kept apart where it holds a word, and the symbol itself where it holds none."""
    content = match[1]
    is_operator = match[0].startswith(r"\operatorname")
    function = (OPERATORS if is_operator else FUNCTIONS).get(content.strip())
    if function is not None:
        return rf"\{function} "
    if re.fullmatch(r"\s*[a-zA-Z]\s*", content) and match[0].startswith((r"\mathrm", r"\operatorname")):
        return content.strip() if content.strip() in ("e", "i", "d") else rf"\text{{{content}}}"
    return rf"\text{{{content}}}" if re.search(r"[^\W\d_]", content) else f" {content} "


def _numbers(text: str) -> str:
    text = _SCIENTIFIC.sub(lambda match: rf"{match[1]}\times 10^{{{int(match[2])}}}", text)
    text = _REPEATING.sub(_fraction_of_repeating, text)
    text = re.sub(r"(?<=[0-9])\.(?=\s*[/+\-)])", "", text)
    return _MIXED.sub(lambda match: rf"{match[1]}\frac{{{match[2]}}}{{{match[3]}}}", text)


def _fraction_of_repeating(match: re.Match[str]) -> str:
    whole, fixed, repeated = match[1] or "0", match[2], match[3]
    numerator = int(whole + fixed + repeated) - int(whole + fixed)
    denominator = (10 ** len(repeated) - 1) * 10 ** len(fixed)
    return rf"\frac{{{numerator}}}{{{denominator}}}"


def _braced_fractions(text: str) -> str:
    r"""`\frac12`, `\frac{1}c` and `\frac1{2}` with both braces, roots of one sign and `\exp{x}` with theirs."""
    text = re.sub(r"\\exp\s*\{", r"\\exp {", text)
    out: list[str] = []
    start = 0
    for command in re.finditer(r"\\(frac|sqrt|binom)(?![a-zA-Z])", text):
        if command.start() < start:
            continue
        out.append(text[start : command.start()])
        start = _take_arguments(text, command, out)
    return "".join([*out, text[start:]])


def _take_arguments(text: str, command: re.Match[str], out: list[str]) -> int:
    out.append("\\" + command[1])
    at = command.end()
    root = re.compile(r"\s*\[[^\[\]]*\]").match(text, at) if command[1] == "sqrt" else None
    if root:
        out.append(root[0].strip())
        at = root.end()
    for _ in range(1 if command[1] == "sqrt" else 2):
        argument = _ARGUMENT.match(text, at)
        if not argument:
            break
        end = group_end(text, argument.start(1)) if argument[1] == "{" else argument.end(1)
        if end < 0:
            break
        inner = text[argument.start(1) + 1 : end - 1] if argument[1] == "{" else argument[1]
        out.append("{" + _braced_fractions(inner).strip() + "}")
        at = end
    return at
