"""The words that a verifier knows: units by their symbols, and words that change the value they stand beside."""

from __future__ import annotations


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


SYNONYMS = {
    "metre": "m", "meter": "m", "cm": "cm", "centimeter": "cm", "centimetre": "cm", "millimeter": "mm", "km": "km",
    "kilometer": "km", "kilometre": "km", "inch": "in", "inche": "in", "foot": "ft", "feet": "ft", "yard": "yd",
    "mile": "mi", "hour": "h", "hr": "h", "minute": "min", "mins": "min", "second": "s", "sec": "s", "gram": "g",
    "kilogram": "kg", "pound": "lb", "liter": "l", "litre": "l", "dollar": "usd", "cent": "cent", "yuan": "元",
    "unit": "", "mph": "mi/h", "kph": "km/h", "person": "people", "way": "", "of": "", "the": "", "a": "", "an": "",
    "radian": "rad", "newton": "N", "joule": "J", "watt": "W", "kelvin": "K", "volt": "V", "ampere": "A", "amp": "A",
    "coulomb": "C", "celsius": "C", "L": "l", "is": "", "answer": "", "final": "", "total": "", "altogether": "",
    "in": "in", "are": "", "there": "", "be": "",
}  # fmt: skip
UNITS = _set(
    "mm cm dm km mi ft yd in kg mg lb lbs oz ml mL min sec hr hrs mph kph km/h Hz kHz eV kJ kW Pa atm mol rad "
    "deg rpm usd USD RMB Å Ω"
)
# One letter is a unit only right behind the number of an answer whose gold has no letters.
LETTER_UNITS = "mgshLNJWVAC"
# What denies a value, hedges it or takes it back.
DENYING = _set(
    "not no non never none neither nor cannot impossible wrong incorrect false invalid mistaken error undefined "
    "unknown maybe perhaps possibly probably likely unlikely might could guess unsure almost nearly but except unless "
    "instead otherwise rather alternatively reject rejected exclude excluded excluding"
)
# What multiplies the value that it stands beside.
MAGNITUDES = _set(
    "hundred thousand million billion trillion lakh crore dozen score pair half halves third quarter fourth fifth "
    "tenth hundredth"
)
NUMERALS = _set(
    "zero one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty sixty seventy "
    "eighty ninety"
)
# Words that beside a number are never mere decoration.
TELLING = DENYING | MAGNITUDES | NUMERALS | _set(
    "am pm noon midnight either between to from until through if when where without too over under above below "
    "beyond beneath exceed exceeding before after north south east west left right up down clockwise "
    "counterclockwise counter less more greater smaller larger fewer than least most minimum maximum profit loss "
    "gain increase decrease surplus deficit debt double twice triple squared cubed square cube factorial percent "
    "percentage pct plus minus times negative positive root base mod modulo divided multiplied power choose "
    "infinite infinity infinitely any every other first last dne bc ad 万 千 百 亿 不 非 或 半 倍 负 couple else "
    "gross or so k M B exp floor ceil arg arsinh arcosh artanh opposite reciprocal inverse logarithm sine cosine "
    "tangent"
)  # fmt: skip
# Functions that may be set in upright letters; `min` and `sec` are units unless an operator is meant.
FUNCTIONS = {
    **{name: name for name in _set(
        "sin cos tan cot csc arcsin arccos arctan sinh cosh tanh ln log lg exp gcd lcm det max lim sup inf pi sqrt"
    )},
    "tg": "tan", "ctg": "cot", "arctg": "arctan",
}  # fmt: skip
OPERATORS = {**FUNCTIONS, "min": "min", "sec": "sec"}
# Short bare words that no product of variables is meant by; longer ones are told by their vowels.
SHORT = _set(
    "st nd rd th am pm is are the not but to of no yes per day men man box cup egg cat dog car bus pie toy hat "
    "pen way bag boy cow key pig row ton"
)
