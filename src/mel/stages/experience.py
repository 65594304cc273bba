"""Experience: ask for (s*, C, H) in one call and read it out of the answer (eq. 2 to 5)."""

from __future__ import annotations

import re

from mel.prompts import PromptSet, Sections, fill
from mel.prompts.quoting import without_marks
from mel.types import Completion, Excerpt, MetaExperience, Pair, Step

_THINKING_END = re.compile(r"</think(?:ing)?>")
_THINKING_START = re.compile(r"<think(?:ing)?>")


def construction_turn(pair: Pair, prompts: PromptSet, shown: Excerpt | None = None) -> str:
    """The user turn C_retro = [I, x, y+, y-], both solutions with numbered steps.

    Args:
        shown: the steps to show; None for all of both. A line takes the place of those before and after.
    """
    shown = shown or pair.whole
    label = prompts.sections.step_label
    left_out = "" if shown == pair.whole else prompts.sections.steps_left_out
    return prompts.construct(
        pair.problem.text,
        right=numbered(pair.right.text, pair.right_steps, label=label, shown=shown.right, left_out=left_out),
        wrong=numbered(pair.wrong.text, pair.wrong_steps, label=label, shown=shown.wrong, left_out=left_out),
    )


def numbered(
    solution: str, steps: tuple[Step, ...], *, label: str, shown: range | None = None, left_out: str = ""
) -> str:
    """The steps of a solution, each behind its label; what is not part of a step is left out.

    Args:
        label: text with `{number}`; empty if the task's steps carry their own numbers.
        shown: numbers of the steps to show; None for all.
        left_out: text that takes the place of the steps before and after those, with `{first}` and `{last}`.
    """
    # Paper: the whole solutions; what stands outside every step cannot be blamed by number.
    separator = "\n" if label else " "
    shown = range(1, len(steps) + 1) if shown is None else shown
    lines = [
        label.replace("{number}", str(s.number)) + without_marks(solution[s.start : s.end].strip(), label, left_out)
        for s in steps
        if s.number in shown
    ]
    before, after = range(1, shown.start), range(shown.stop, len(steps) + 1)
    return separator.join([*_notice(left_out, before), *lines, *_notice(left_out, after)])


def _notice(left_out: str, numbers: range) -> list[str]:
    """The line in place of these steps; no line if there are none."""
    return [fill(left_out, {"first": str(numbers[0]), "last": str(numbers[-1])})] if numbers else []


def parse_experience(
    completion: Completion, sections: Sections, *, steps: range, given: int | None = None
) -> MetaExperience | str:
    """The meta-experience a completion states, or one word that says why there is none.

    Args:
        steps: numbers of the steps of the wrong solution that the prompt showed; s* must be one of them.
        given: s* where something else than the policy says it; what the text states is then not asked for.

    Returns:
        A `MetaExperience`, or `truncated`, `no_bifurcation`, `bifurcation_out_of_range`, `no_heuristic`.
    """
    if completion.is_truncated:
        return "truncated"
    text = without_thinking(completion.text)
    found = split_sections(text, sections)
    bifurcation = stated_step(text, found.get("failure", ""), sections) if given is None else given
    if bifurcation is None:
        return "no_bifurcation"
    if bifurcation not in steps:
        return "bifurcation_out_of_range"
    heuristic = found.get("heuristic", "").strip()
    if not heuristic:
        return "no_heuristic"
    critique = "\n".join(body.strip() for name, body in found.items() if name != "heuristic" and body.strip())
    start = min(m.start() for p in sections.headings.values() if (m := p.search(text)) is not None)
    return MetaExperience(
        bifurcation=bifurcation,
        critique=critique,
        heuristic=heuristic,
        text=text[start:].strip(),
        lesson=_lesson(text, start, sections),
    )


def _lesson(text: str, start: int, sections: Sections) -> str:
    """C and H in one piece: the sections behind the statement of s*, or all of them if H stands before it."""
    end = max(start, statement_end(text, sections) or 0)
    heuristic = sections.headings["heuristic"].search(text)
    body = text[start:] if heuristic is not None and heuristic.start() < end else text[end:]
    return body.lstrip(".:;,)*_ \t\r\n").rstrip()


def statement_end(text: str, sections: Sections) -> int | None:
    """Where the statement of s* ends in the text, as `stated_step` finds it; None if none is made."""
    heading = sections.headings["failure"].search(text)
    begin = heading.end() if heading is not None else len(text)
    others = [m.start() for p in sections.headings.values() if (m := p.search(text, begin)) is not None]
    end, statement = min(others, default=len(text)), sections.step_statement
    stated = (statement.search(text, begin, end) or statement.search(text)) if statement else None
    match = stated or sections.step_reference.search(text, begin, end)
    return match.end() if match is not None else None


def heading_end(text: str, sections: Sections) -> int | None:
    """Where the heading of H ends in the text; None if there is none."""
    heading = sections.headings["heuristic"].search(text)
    return heading.end() if heading is not None else None


def without_thinking(text: str) -> str:
    """What follows the last thinking block; nothing if one was opened and never closed.

    A chat template may open the block itself, so that the completion holds its end only.
    """
    after = _THINKING_END.split(text)[-1]
    return _THINKING_START.split(after)[0]


def stated_step(text: str, failure: str, sections: Sections) -> int | None:
    """The number of the step that the text blames: its statement, else the first step its failure section mentions.

    A statement outside the section counts too, for a model that put it above the first heading.
    """
    statement = sections.step_statement
    stated = (statement.search(failure) or statement.search(text)) if statement else None
    match = stated or sections.step_reference.search(failure)
    return next((int(number) for number in match.groups() if number), None) if match else None


def split_sections(text: str, sections: Sections) -> dict[str, str]:
    """Section name -> its body, in order of appearance; the first heading of each section counts."""
    starts = sorted(
        (match.start(), match.end(), name)
        for name, pattern in sections.headings.items()
        if (match := pattern.search(text)) is not None
    )
    ends = [start for start, _, _ in starts[1:]] + [len(text)] * bool(starts)
    return {name: text[body:end] for (_, body, name), end in zip(starts, ends, strict=True)}
