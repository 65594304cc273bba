"""Experience: ask for (s*, C, H) in one call and read it out of the answer (eq. 2 to 5)."""

from __future__ import annotations

import re

from mel.prompts import PromptSet, Sections
from mel.types import Completion, MetaExperience, Pair, Step

_THINKING = re.compile(r"<think>.*?(</think>|\Z)", re.DOTALL)


def construction_turn(pair: Pair, prompts: PromptSet) -> str:
    """The user turn C_retro = [I, x, y+, y-], both solutions with numbered steps."""
    label = prompts.sections.step_label
    return prompts.construct(
        pair.problem.text,
        right=numbered(pair.right.text, pair.right_steps, label=label),
        wrong=numbered(pair.wrong.text, pair.wrong_steps, label=label),
    )


def numbered(solution: str, steps: tuple[Step, ...], *, label: str) -> str:
    """The steps of a solution, each behind its label; what is not part of a step is left out.

    Args:
        label: text with `{number}`; empty if the task's steps carry their own numbers.
    """
    separator = "\n" if label else " "
    return separator.join(label.replace("{number}", str(s.number)) + solution[s.start : s.end].strip() for s in steps)


def parse_experience(completion: Completion, sections: Sections, *, num_steps: int) -> MetaExperience | str:
    """The meta-experience a completion states, or one word that says why there is none.

    Args:
        num_steps: number of steps of the wrong solution; s* must be one of them.

    Returns:
        A `MetaExperience`, or `truncated`, `no_bifurcation`, `bifurcation_out_of_range`, `no_heuristic`.
    """
    if completion.is_truncated:
        return "truncated"
    text = _THINKING.sub("", completion.text)
    found = split_sections(text, sections)
    reference = sections.step_reference.search(found.get("failure", ""))
    if reference is None:
        return "no_bifurcation"
    if not 1 <= int(reference[1]) <= num_steps:
        return "bifurcation_out_of_range"
    heuristic = found.get("heuristic", "").strip()
    if not heuristic:
        return "no_heuristic"
    critique = "\n".join(body.strip() for name, body in found.items() if name != "heuristic" and body.strip())
    start = min(m.start() for p in sections.headings.values() if (m := p.search(text)))
    return MetaExperience(
        bifurcation=int(reference[1]), critique=critique, heuristic=heuristic, text=text[start:].strip()
    )


def split_sections(text: str, sections: Sections) -> dict[str, str]:
    """Section name -> its body, in order of appearance; the first heading of each section counts."""
    starts = sorted(
        (match.start(), match.end(), name)
        for name, pattern in sections.headings.items()
        if (match := pattern.search(text)) is not None
    )
    ends = [start for start, _, _ in starts[1:]] + [len(text)] * bool(starts)
    return {name: text[body:end] for (_, body, name), end in zip(starts, ends, strict=True)}
