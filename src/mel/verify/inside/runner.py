"""Runs inside the sandbox: a program that answers calls, or the tests that make them, never both in one process.

A specification in JSON comes by standard input, and lines of JSON leave by standard output; what a program prints
itself goes nowhere. As `program` the answers of the program's functions are written, one line per call. As `tests` the
tests run against the answers that are known, and report what they still want to call. Only values of built-in types
cross, each rebuilt from its text, so that no object of the program (with an `__eq__` of its own, say) meets a test.
"""

import ast
import json
import os
import random
import sys

_LONGEST = 100_000
_SHOWN = 200
_EXACT = {list: "l", tuple: "t", set: "s", frozenset: "z"}
_RAISED = (
    "ArithmeticError",
    "AssertionError",
    "AttributeError",
    "Exception",
    "IndexError",
    "KeyError",
    "LookupError",
    "NameError",
    "OverflowError",
    "RecursionError",
    "RuntimeError",
    "TypeError",
    "UnicodeError",
    "ValueError",
    "ZeroDivisionError",
)


class Pending(BaseException):
    """The test wants the answer to a call that has not been made yet."""


class Enough(BaseException):
    """A test failed, and nothing else needs to be known."""


class Unreadable:
    """A value that is of no built-in type: equal to nothing, itself included."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, kind):
        self.kind = kind

    def __eq__(self, other):
        return False

    def __repr__(self):
        return f"<{self.kind}>"


def encode(value):
    """The value as JSON can hold it; sets in an order that does not depend on hashing."""
    if value is None or type(value) in (bool, str):
        return value
    if isinstance(value, int):
        return {"i": hex(int(value))}
    if isinstance(value, float):
        return {"f": repr(float(value))}
    if isinstance(value, str):
        return str(value)
    for kind, tag in _EXACT.items():
        if isinstance(value, kind):
            items = [encode(item) for item in list(value)]
            return {tag: sorted(items, key=json.dumps) if tag in "sz" else items}
    if isinstance(value, dict):
        return {"d": [[encode(k), encode(v)] for k, v in list(value.items())]}
    return _encode_rare(value)


def _encode_rare(value):
    if isinstance(value, complex):
        return {"c": [repr(value.real), repr(value.imag)]}
    if isinstance(value, bytes | bytearray):
        return {"b": bytes(value).hex()}
    if isinstance(value, range):
        return {"r": [value.start, value.stop, value.step]}
    if hasattr(value, "__next__"):
        items = []
        for item in value:
            items.append(encode(item))
            if len(items) > _LONGEST:
                raise ValueError("an iterator without an end")
        return {"g": items}
    return {"o": str(type(value).__name__)[:100]}


def decode(coded):
    """The value of that text, of a built-in type; anything malformed is a ValueError."""
    if coded is None or type(coded) in (bool, str):
        return coded
    if type(coded) is not dict or len(coded) != 1:
        raise ValueError("no value")
    ((tag, held),) = coded.items()
    if tag == "i":
        return int(held, 16)
    if tag == "f":
        return float(held)
    for kind, its in _EXACT.items():
        if tag == its:
            return kind([decode(item) for item in held])
    if tag == "d":
        return {decode(k): decode(v) for k, v in held}
    return _decode_rare(tag, held)


def _decode_rare(tag, held):
    if tag == "c":
        return complex(float(held[0]), float(held[1]))
    if tag == "b":
        return bytes.fromhex(held)
    if tag == "r":
        return range(*held)
    if tag == "g":
        return iter([decode(item) for item in held])
    if tag == "o":
        return Unreadable(held)
    raise ValueError("no value")


def answer_calls(spec, say):
    """Load the program and answer each call with a line: its value, or what it raised."""
    names: dict = {"__name__": "program"}
    try:
        exec(compile(spec["preamble"], "preamble.py", "exec"), names)
        exec(compile(spec["program"], "program.py", "exec"), names)
    except SyntaxError as error:
        return say({"fault": "syntax_error", "detail": f"line {error.lineno}: {error.msg}"})
    except BaseException as error:
        return say({"fault": "error", "detail": _told(error)})
    missing = [name for name in spec["names"] if not callable(names.get(name))]
    if missing:
        return say({"fault": "no_entry_point", "detail": f"expected {missing[0]} to be defined"})
    say({"fault": ""})
    for name, positional, by_name in spec["calls"]:
        try:
            arguments = [decode(a) for a in positional]
            found = names[name](*arguments, **{k: decode(v) for k, v in by_name.items()})
            line = {"value": encode(found)}
        except BaseException as error:
            line = {"raised": type(error).__name__, "detail": _message(error)}
        say(line)
    return None


def _told(error):
    try:
        return f"{type(error).__name__}: {error}"[:300]
    except BaseException:
        return type(error).__name__


def _message(error):
    """What the error says, without its kind: tests may compare it."""
    try:
        alone = error.args[0] if len(error.args) == 1 else None
        return (alone if isinstance(alone, str) else str(error))[:300]
    except BaseException:
        return ""


class Bench:
    """What a run of the tests has found so far."""

    def __init__(self, spec):
        self.known = spec["answers"]
        self.is_brief = spec["is_brief"]
        self.wanted = []
        self.made = {}
        self.passed = self.failed = 0
        self.first = None
        self.broken = ""
        self.has_raised = False
        self.heard = []

    def function(self, name):
        """A stand-in for the program's function: known answers, and a note of the others."""

        def call(*arguments, **by_name):
            asked = [name, [encode(a) for a in arguments], {k: encode(v) for k, v in by_name.items()}]
            key = json.dumps(asked)
            self.made[key] = self.made.get(key, 0) + 1
            key = f"{self.made[key]} {key}"
            if key not in self.known:
                self.wanted.append([key, asked])
                raise Pending
            found = self.known[key]
            if "raised" in found:
                self.has_raised = True
                raise _exception(found)
            value = decode(found["value"])
            self.heard.append(repr(value) if len(json.dumps(found["value"])) < _SHOWN else "a long value")
            return value

        return call

    def good(self):
        self.passed += 1
        self.heard = []

    def bad(self, error, text):
        self.failed += 1
        kind = "wrong" if isinstance(error, AssertionError) else "error"
        told = f"{text}{self._answered()}" if kind == "wrong" else f"{_told(error)} in {text}"
        self.first = self.first or [kind, told]
        self.heard = []
        if self.is_brief and not self.wanted:  # behind a pending answer a failure means nothing yet
            raise Enough

    def _answered(self):
        """What the program answered since the last assertion, in a few words."""
        last = ", ".join(self.heard[-3:])
        return f"; the program answered {last}" if last else ""


def _exception(found):
    """What the program raised, if it is an error that cannot end a loop of the tests; else a RuntimeError about it."""
    kind, message = str(found["raised"])[:100], str(found.get("detail"))[:300]
    if kind not in _RAISED:
        return RuntimeError(f"{kind}: {message}")
    return getattr(__import__("builtins"), kind)(message)


class Counted(ast.NodeTransformer):
    """Each assertion counts its outcome; what waits for an answer does not keep the rest from being tried."""

    def visit_Assert(self, node):
        text = ast.Constant(ast.unparse(node)[:300])
        bad = _parsed("_mel.bad(_mel_error, 0)")
        bad.value.args[1] = text
        return ast.Try(
            body=[node, _parsed("_mel.good()")],
            handlers=[_waiting(), ast.ExceptHandler(type=_name("Exception"), name="_mel_error", body=[bad])],
            orelse=[],
            finalbody=[],
        )

    def visit_For(self, node):
        return self._tolerant(node)

    def visit_While(self, node):
        return self._tolerant(node)

    def _tolerant(self, loop):
        self.generic_visit(loop)
        loop.body = [ast.Try(body=loop.body, handlers=[_waiting()], orelse=[], finalbody=[])]
        return loop


def _waiting():
    """Goes on behind what waits for an answer, to learn what else is wanted."""
    return ast.ExceptHandler(type=_name("_mel_pending"), name=None, body=[ast.Pass()])


def _name(text):
    return ast.Name(id=text, ctx=ast.Load())


def _parsed(text):
    return ast.parse(text).body[0]


def run_tests(spec, say):
    """Run the tests against the known answers and say what passed, what failed and which calls are wanted."""
    bench = Bench(spec)
    random.seed(0)
    names: dict = {"__name__": "tests"}
    exec(compile(spec["setup"], "setup.py", "exec"), names)
    names.update({name: bench.function(name) for name in spec["names"]})
    names.update(_mel=bench, _mel_pending=Pending)
    for text in spec["tests"]:
        tree = Counted().visit(ast.parse(text))
        for statement in tree.body:
            piece = ast.fix_missing_locations(ast.Module(body=[statement], type_ignores=[]))
            try:
                exec(compile(piece, "tests.py", "exec"), names)
            except Pending:
                continue
            except Enough:
                break
            except BaseException as error:
                bench.broken = bench.broken or _told(error)
        if bench.failed and bench.is_brief and not bench.wanted:
            break
    say(
        {
            "wanted": bench.wanted,
            "passed": bench.passed,
            "failed": bench.failed,
            "first": bench.first,
            "broken": bench.broken,
            "has_raised": bench.has_raised,
        }
    )


def main():
    """Read the specification, close the ways by which others could be heard, and play the part."""
    sys.set_int_max_str_digits(0)
    spec = json.loads(sys.stdin.buffer.read())
    channel = os.fdopen(os.dup(1), "w", encoding="ascii")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(nowhere, number)

    def say(line):
        channel.write(json.dumps(line) + "\n")
        channel.flush()

    {"program": answer_calls, "tests": run_tests}[spec["part"]](spec, say)
    os._exit(0)


if __name__ == "__main__":
    main()
