"""Steps of a program are where a person would put them: its statements and those of its functions."""

from itertools import pairwise

from mel.tasks.program_steps import program_steps

SOLUTION = '''I sum the squares.

```python
import math


@cache
def total(values):
    """The sum of the squares."""
    result = 0
    for value in values:
        if value > 0:
            result += value ** 2

    # done
    return result


class Box:
    size = 1

    def area(self): return self.size


print(total([1, 2])); print(3)
```

That is all.
'''


def texts(solution: str) -> list[str]:
    return [solution[step.start : step.end] for step in program_steps(solution)]


def test_each_statement_is_a_step_and_a_loop_is_one():
    found = texts(SOLUTION)
    assert [text.strip().splitlines()[0] for text in found] == [
        "I sum the squares.",
        "@cache",
        "result = 0",
        "for value in values:",
        "return result",
        "class Box:",
        "size = 1",
        "def area(self): return self.size",
        "print(total([1, 2])); print(3)",
    ]
    assert found[1].rstrip().endswith('"""The sum of the squares."""')
    assert found[3].rstrip().endswith("# done")
    assert found[-1].endswith("That is all.\n")


def test_steps_are_contiguous_and_numbered_from_1():
    steps = program_steps(SOLUTION)
    assert [step.number for step in steps] == list(range(1, 10))
    assert steps[0].start == 0
    assert steps[-1].end == len(SOLUTION)
    assert all(a.end == b.start for a, b in pairwise(steps))


def test_what_precedes_a_step_is_a_program_that_can_go_on_from_there():
    prefix = "".join(texts(SOLUTION)[:3])
    assert prefix.endswith("    result = 0\n")


def test_the_last_block_counts():
    assert len(texts("```python\na = 1\nb = 2\n```\nNo:\n```python\nc = 3\n```")) == 1


def test_a_program_that_breaks_off_has_its_whole_statements_and_the_rest():
    cut = "```python\ndef f(x):\n    y = x + 1\n    z = y *\n```"
    assert [text.strip() for text in texts(cut)] == ["```python\ndef f(x):", "y = x + 1", "z = y *\n```"]


def test_what_is_no_program_has_its_lines_or_nothing():
    assert [text.strip() for text in texts("```\nfoo bar\n  baz\nqux quux\n```")] == [
        "```\nfoo bar\n  baz",
        "qux quux\n```",
    ]
    assert program_steps("no block") == ()
    assert program_steps("") == ()
    assert program_steps("```python\n\n```") == ()
