"""Programs and their verdicts: what is right, and every way in which one that is not tries to pass for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mel.types import Problem, Verdict
from mel.verify import FunctionTests, ProgramLimits, ProgramVerifier, StreamTests, as_metadata, stated_tests
from mel.verify.program_verifier import choose_sandbox

LIMITS = ProgramLimits(cpu_s=2, output_kb=64)
SQUARE = FunctionTests(
    tests=(
        "assert square(2) == 4",
        "def check(f):\n    for i in (3, 5):\n        x = f(i)\n        assert x == i * i\ncheck(square)",
    ),
    names=("square",),
    setup="MARK_OF_THE_TESTS = 1",
)
ECHO = StreamTests(inputs=("1 2\n", "30 4"), outputs=("3\n", "34\n"))


def fenced(program: str) -> str:
    return f"Here it is.\n```python\n{program}\n```\n"


FUNCTIONS = {
    "right": ("def square(x):\n    return x * x", "right"),
    "several blocks, the last is right": (
        "raise SystemExit\n```\nNo:\n```python\ndef square(x): return x * x",
        "right",
    ),
    "several blocks, the last is wrong": (
        "def square(x): return x * x\n```\nOr:\n```python\ndef square(x): return x",
        "wrong",
    ),
    "threads are left behind": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()\ndef square(x): return x * x",
        "right",
    ),
    "prints what it likes": ("print('all passed')\ndef square(x):\n    print('{}')\n    return x * x", "right"),
    "one test fails": ("def square(x): return 4 if x == 2 else 25", "wrong"),
    "a missing import": ("def square(x): return math.pow(x, 2)", "error"),
    "a module that is not there": ("import numpy\ndef square(x): return x * x", "error"),
    "asks for input": ("n = int(input())\ndef square(x): return x * x", "error"),
    "another name": ("def cube(x): return x ** 3", "no_entry_point"),
    "the name is no function": ("square = 4", "no_entry_point"),
    "does not parse": ("def square(x) return x", "syntax_error"),
    "loops in the call": ("def square(x):\n    while True: pass", "timeout"),
    "takes all memory": ("def square(x): return bytearray(10**10)", "memory or crash"),
    "recurses for ever": ("def square(x): return square(x)", "error"),
    "an answer of a megabyte": ("def square(x): return 'x' * 10**6", "output"),
    "leaves by sys.exit": ("import sys\nsys.exit(0)", "error"),
    "leaves by sys.exit in the call": ("import sys\ndef square(x): sys.exit(0)", "error"),
    "leaves by os._exit": ("import os\nos._exit(0)", "exited"),
    "leaves by os._exit in the call": ("import os\ndef square(x): os._exit(0)", "exited"),
    "kills itself": ("import os, signal\ndef square(x): os.kill(os.getpid(), signal.SIGKILL)", "crash"),
    "equals everything": ("class E(int):\n    def __eq__(s, o): return True\ndef square(x): return E(7)", "wrong"),
    "equals everything, of no type": (
        "class E:\n    def __eq__(s, o): return True\ndef square(x): return E()",
        "wrong",
    ),
    "patches equality": (
        "import builtins\nclass I(int):\n    __eq__ = lambda s, o: True\nbuiltins.int = I\ndef square(x): return I(7)",
        "wrong",
    ),
    "patches assertions": (
        "import builtins\nbuiltins.AssertionError = type('A', (BaseException,), {})\n"
        "builtins.exit = builtins.quit = lambda *a: None\ndef square(x): return 0",
        "wrong",
    ),
    "raises what ends a loop": ("def square(x): raise StopIteration", "error"),
    "raises an assertion": ("def square(x): raise AssertionError", "wrong"),
    "raises an error that cannot be told": (
        "class E(Exception):\n    def __str__(s): raise s\ndef square(x): raise E",
        "error",
    ),
    "an iterator without an end": ("import itertools\ndef square(x): return itertools.count()", "error"),
    "a list that holds itself": ("l = []\nl.append(l)\ndef square(x): return l", "error"),
    "finds the channel and says that it passed": (
        "import os, json\nfor fd in range(20):\n    try:\n"
        "        os.write(fd, (json.dumps({'wanted': [], 'passed': 9, 'failed': 0, 'first': None, 'broken': '', "
        "'has_raised': False, 'fault': ''}) + chr(10)).encode())\n    except OSError: pass\nos._exit(0)",
        "exited",
    ),
    "answers in the place of its function": (
        "import os, json\nfor fd in range(3, 20):\n    try:\n"
        '        os.write(fd, b\'{"fault": ""}\\n\' + b\'{"value": {"o": "E"}}\\n\' * 9)\n'
        "    except OSError: pass\nos._exit(0)",
        "wrong",
    ),
    "looks for the tests in the frames": (
        "import sys\ndef square(x):\n    f, seen = sys._getframe(), []\n    while f:\n"
        "        seen.append(repr(f.f_locals) + repr(f.f_globals))\n        f = f.f_back\n"
        "    return x * x if 'MARK_' + 'OF_THE_TESTS' in ''.join(seen) else 0",
        "wrong",
    ),
    "reads the file of the tests": (
        "import os\nfound = ''\nfor at, _, names in os.walk('/tmp'):\n    for name in names:\n        try:\n"
        "            found += open(os.path.join(at, name)).read()\n        except (OSError, ValueError): pass\n"
        "def square(x): return x * x if 'MARK_' + 'OF_THE_TESTS' in found else 0",
        "wrong",
    ),
    "imports the verifier": ("import mel\ndef square(x): return x * x", "error"),
}
STREAMS = {
    "right": ("a, b = map(int, input().split())\nprint(a + b)", "right"),
    "right, with spaces at the end": ("print(sum(map(int, input().split())), end='  \\n\\n')", "right"),
    "leaves by exit, with a right answer": ("print(sum(map(int, input().split())))\nraise SystemExit", "right"),
    "right, then fails": ("print(sum(map(int, input().split())))\nraise SystemExit(3)", "exited"),
    "wrong": ("print(3)", "wrong"),
    "says that it passed": ("print('all tests passed')", "wrong"),
    "reads more than there is": ("input()\ninput()", "error"),
    "huge output": ("while True: print('x' * 1000)", "output"),
    "does not parse": ("print(", "syntax_error"),
}
UNFENCED = {
    "no block": ("def square(x): return x * x", "no_code_block"),
    "nothing at all": ("", "no_code_block"),
    "a block that is not closed": ("```python\ndef square(x): return x * x", "unclosed_block"),
    "a closed block and one that is not": (fenced("def square(x): return x * x") + "```python\ndef", "unclosed_block"),
    "a block in the thinking only": (
        f"<think>\n{fenced('def square(x): return x * x')}</think>\nDone.",
        "no_code_block",
    ),
    "a NUL": (fenced("def square(x): return x * x\0"), "syntax_error"),
}


def problem(tests: FunctionTests | StreamTests) -> Problem:
    return Problem(id="p", text="?", answer="", metadata={"tests": as_metadata(tests)})


@pytest.fixture(scope="module")
def verifier() -> ProgramVerifier:
    try:
        choose_sandbox()
    except ValueError as error:
        pytest.skip(str(error))
    return ProgramVerifier(limits=LIMITS)


@pytest.fixture(scope="module")
def verdicts(verifier: ProgramVerifier) -> dict[tuple[str, str], Verdict]:
    """The verdict of every program of the tables, judged together."""
    asked = [(("function", n), problem(SQUARE), fenced(p)) for n, (p, _) in FUNCTIONS.items()]
    asked += [(("stream", n), problem(ECHO), fenced(p)) for n, (p, _) in STREAMS.items()]
    asked += [(("unfenced", n), problem(SQUARE), r) for n, (r, _) in UNFENCED.items()]
    found = verifier.verify([p for _, p, _ in asked], [r for _, _, r in asked])
    return {key: verdict for (key, _, _), verdict in zip(asked, found, strict=True)}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ((kind, name), reason)
        for kind, table in (("function", FUNCTIONS), ("stream", STREAMS), ("unfenced", UNFENCED))
        for name, (_, reason) in table.items()
    ],
    ids=lambda value: " - ".join(value) if isinstance(value, tuple) else value,
)
def test_every_program_has_its_verdict_and_its_reason(
    verdicts: dict[tuple[str, str], Verdict], key: tuple[str, str], expected: str
):
    verdict = verdicts[key]
    assert verdict.reason in expected.split(" or "), verdict
    assert verdict.is_correct == (expected == "right")


def test_a_thread_that_is_left_behind_where_output_is_awaited_is_a_timeout_by_the_clock(verifier: ProgramVerifier):
    program = "import threading, time\nthreading.Thread(target=time.sleep, args=(999,)).start()\nprint(3)"
    waiting = ProgramVerifier(limits=ProgramLimits(timeout_s=1.0))
    assert waiting.verify([problem(ECHO)], [fenced(program)])[0].reason == "timeout"


def test_with_a_score_all_tests_run_and_their_share_is_the_reward(verifier: ProgramVerifier):
    scoring = ProgramVerifier(limits=LIMITS, gives_score=True)
    half = StreamTests(inputs=("1", "2", "3", "4"), outputs=("1", "2", "0", "4"))
    found = scoring.verify(
        [problem(half), problem(SQUARE), problem(SQUARE), problem(SQUARE)],
        [fenced("print(input())"), fenced("def square(x): return 4"), fenced("oops"), "no block"],
    )
    assert [v.score for v in found] == [0.75, pytest.approx(1 / 3), 0.0, 0.0]
    assert [v.reward for v in found] == [v.score for v in found]


def test_a_failed_test_is_told_with_what_the_program_answered(verifier: ProgramVerifier):
    raising = FunctionTests(tests=("assert f(1) == 1",), names=("f",))
    hidden = fenced("def square(x): return 9" + "9" * 300)
    asked = [
        (problem(SQUARE), fenced("def square(x): return -x")),
        (problem(SQUARE), hidden),
        (problem(raising), fenced("def f(x): return x + 'a'")),
        (problem(ECHO), fenced("print(3)")),
        (problem(ECHO), fenced("print(3)\nif input() == '30 4': print(34)")),
        (problem(ECHO), fenced("pass")),
    ]
    assert [v.detail for v in verifier.verify([p for p, _ in asked], [r for _, r in asked])] == [
        "assert square(2) == 4; the program answered -2",
        "assert square(2) == 4; the program answered a long value",
        "TypeError: unsupported operand type(s) for +: 'int' and 'str' in assert f(1) == 1",
        "test 2: expected '34' in line 1, got '3'",
        "test 2: expected '34' in line 1, got '3'",
        "test 1: expected '3' in line 1, got nothing",
    ]


def test_equal_programs_for_one_problem_are_run_once(verifier: ProgramVerifier):
    coin = FunctionTests(tests=("assert f()",), names=("f",))
    toss = fenced("import os\ndef f(): return os.urandom(1)[0] % 2")
    responses = [f"Attempt {i}. {toss}" for i in range(20)]
    assert len({v.reason for v in verifier.verify([problem(coin)] * 20, responses)}) == 1


def test_a_test_may_compare_what_an_error_says(verifier: ProgramVerifier):
    says = "try:\n    f(-1)\n    found = ''\nexcept {} as error:\n    found = error.args[0]\nassert found == 'negative'"
    tests = [FunctionTests(tests=(says.format(kind),), names=("f",)) for kind in ("ValueError", "KeyError")]
    program = fenced("def f(x): raise ValueError('negative')")
    found = verifier.verify([problem(t) for t in tests], [program, program.replace("ValueError", "KeyError")])
    assert [v.reason for v in found] == ["right", "right"]


def test_tests_that_cannot_judge_are_the_datas_fault_and_nothing_passes_them(verifier: ProgramVerifier):
    empty = FunctionTests(tests=("for _ in ():\n    assert square(2) == 4",), names=("square",))
    unasked = FunctionTests(tests=("square(2)",), names=("square",))
    broken = FunctionTests(tests=("assert square(2) == undefined",), names=("square",))
    program = fenced("def square(x): return x * x")
    found = verifier.verify([problem(t) for t in (empty, unasked, broken)], [program] * 3)
    assert [(v.is_correct, v.reason) for v in found] == [(False, "broken_test")] * 2 + [(False, "error")]


def test_values_of_every_built_in_type_cross_and_stay_what_they_are(verifier: ProgramVerifier):
    tests = FunctionTests(
        tests=(
            "assert f((1, [2.5, None], {'k': {1, 2}, (3,): b'4'})) == (1, [2.5, None], {'k': {1, 2}, (3,): b'4'})",
            "assert type(f(True)) is bool and type(f(1)) is int and type(f(frozenset({1}))) is frozenset",
            "assert f(2 ** 20000) == 2 ** 20000 and f(-1e-300) == -1e-300 and f('\\ud800é') == '\\ud800é'",
            "assert f(float('nan')) != f(float('nan')) and f(float('inf')) > 0 and f(1 + 2j) == 1 + 2j",
            "assert list(f(range(3))) == [0, 1, 2] and list(f(iter([1, 2]))) == [1, 2]",
        ),
        names=("f",),
    )
    verdict = verifier.verify([problem(tests)], [fenced("def f(x): return x")])[0]
    assert verdict.is_correct, verdict


def test_a_test_may_call_with_what_it_was_answered(verifier: ProgramVerifier):
    tests = FunctionTests(tests=("x = 1\nfor _ in range(4):\n    x = twice(x)\nassert x == 16",), names=("twice",))
    right, wrong = verifier.verify(
        [problem(tests)] * 2, [fenced("def twice(x): return 2 * x"), fenced("def twice(x): return 3 * x")]
    )
    assert right.is_correct, right
    assert wrong.reason == "wrong", wrong


def test_tests_come_back_from_a_problems_metadata_as_they_went_in():
    for tests in (SQUARE, ECHO):
        assert stated_tests(problem(tests)) == tests


def test_a_problem_without_tests_is_refused():
    with pytest.raises(ValueError, match=r"problem 'p': expected tests in its metadata"):
        stated_tests(Problem(id="p", text="?", answer=""))


def test_a_sandbox_of_no_known_name_is_refused():
    with pytest.raises(ValueError, match="sandbox: expected auto, sandlock, bubblewrap, landlock or the address"):
        choose_sandbox("docker")


def test_an_interpreter_that_is_not_there_is_refused(verifier: ProgramVerifier, tmp_path: Path):
    with pytest.raises(ValueError, match=r"this machine offers none .*expected the path of a Python interpreter"):
        choose_sandbox("auto", str(tmp_path / "python"))
