"""Instructions to the model, kept as text files: one directory per prompt set.

A set holds `solve.txt` and whatever further user turns with `{placeholders}` auxiliaries and credit of a run declare
(`construct.txt`, `replay.txt`, `peer.txt`), beside them `sections.toml` (how steps are labelled and how the sections
of an experience are recognized). A set is checked for what a run reads of it, and versioned by the hash of all its
files, which every run records.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from mel.prompts.quoting import quoted, tags_of, without_marks

SOLVE = "solve.txt"
SECTIONS = "sections.toml"

_PLACEHOLDERS = {
    "solve.txt": {"problem"},
    "construct.txt": {"problem", "right", "wrong"},
    "replay.txt": {"problem", "experience"},
    "peer.txt": {"problem", "solution"},
    "locate.txt": {"problem", "solution"},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Sections:
    """How to read what the model wrote about a pair.

    Args:
        step_label: put before each step of a solution in the construction prompt; `{number}` is replaced.
        headings: section name -> pattern of its heading, tried anywhere in the text. `failure` (holds s*)
            and `heuristic` are required, further sections belong to the critique.
        step_reference: pattern whose first group is a step number, looked for in the `failure` section.
        step_statement: pattern of the line that states s* outright, preferred to a mere reference; a number may
            stand in any of its groups. None if the instruction asks for no such line.
        steps_left_out: line in the place of steps that are not shown; `{first}` and `{last}` are replaced by numbers.
        opening: what an answer begins with where s* is given to the policy; `{step}` is replaced. Empty: the answer is
            written freely, and the given step takes the place of the one it states.
    """

    step_label: str
    headings: Mapping[str, re.Pattern[str]]
    step_reference: re.Pattern[str]
    step_statement: re.Pattern[str] | None = None
    steps_left_out: str = "[...]"
    opening: str = ""

    def opening_at(self, step: int) -> str:
        """The beginning of an answer that states this step."""
        return self.opening.replace("{step}", str(step))


_NO_SECTIONS = Sections(step_label="", headings={}, step_reference=re.compile("(?!)"))
"""Of a set from which only `solve.txt` is read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptSet:
    """One set of instructions; `fill` is the only way text gets into a template, `quoted` where the template fences.

    Args:
        templates: name of a file, without `.txt` -> its text.
    """

    name: str
    templates: Mapping[str, str]
    sections: Sections
    sha256: str

    def solve(self, problem: str) -> str:
        """The user turn that asks for a solution."""
        return self.turn("solve", problem=problem)

    def construct(self, problem: str, right: str, wrong: str) -> str:
        """The user turn [I, x, y+, y-] that asks for a meta-experience (eq. 2 to 4 in one call)."""
        return self.turn("construct", problem=problem, right=right, wrong=wrong)

    def replay(self, problem: str, experience: str) -> str:
        """The user turn that asks for a solution with M at hand (eq. 6)."""
        return self.turn("replay", problem=problem, experience=experience)

    def turn(self, name: str, **values: str) -> str:
        """The user turn of the file of that name with these values in it, quoted where it fences them."""
        tags = tags_of(self.templates[name])
        headings = tuple(self.sections.headings.values())
        # An experience consists of sections, so its headings are its own.
        quotes = {name: quoted(text, tags, () if name == "experience" else headings) for name, text in values.items()}
        return fill(self.templates[name], quotes)

    def bare(self, name: str) -> str:
        """The user turn of that file with nothing in it: what its instruction takes by itself."""
        filled = _PLACEHOLDERS.get(f"{name}.txt") or _placeholders(self.templates[name])
        return self.turn(name, **dict.fromkeys(filled, ""))


def fill(template: str, values: Mapping[str, str]) -> str:
    """Replace each `{name}` of the template once, in one pass: braces inside a value stay as they are."""
    return re.sub(r"\{(\w+)\}", lambda m: values[m[1]] if m[1] in values else m[0], template)


def load(name_or_path: str, files: Collection[str] = ()) -> PromptSet:
    """The prompt set of that name in this package, or the one in that directory.

    Args:
        files: what is read besides `solve`, without `.txt`: the set must hold these and say by `sections.toml` how
            what they ask for is recognized. What else it holds is loaded, and not checked.

    Raises:
        ValueError: no such set, a file missing, or a placeholder missing from a template.
    """
    root = Path(name_or_path) if "/" in name_or_path else Path(str(resources.files(__name__))) / name_or_path
    needed = [SOLVE, *(f"{name}.txt" for name in files), *((SECTIONS,) if files else ())]
    missing = [file for file in needed if not (root / file).is_file()]
    if missing:
        known = ", ".join(names())
        raise ValueError(
            f"prompt set {name_or_path!r}: expected a name ({known}) or a directory with {', '.join(needed)}; "
            f"{', '.join(missing)} not found in {root}"
        )
    texts = {path.name: path.read_text(encoding="utf-8") for path in _files(root)}
    for file in needed:
        lacking = sorted(_PLACEHOLDERS.get(file, set()) - _placeholders(texts[file]))
        if lacking:
            raise ValueError(f"{root / file}: the placeholder(s) {', '.join(lacking)} must appear in braces")
    return PromptSet(
        name=name_or_path,
        templates={name.removesuffix(".txt"): text.strip("\n") for name, text in texts.items() if name != SECTIONS},
        sections=_sections(texts[SECTIONS], root) if SECTIONS in texts else _NO_SECTIONS,
        sha256=hashlib.sha256("\0".join(texts.values()).encode()).hexdigest(),
    )


def names() -> list[str]:
    """Names of the prompt sets in this package."""
    root = Path(str(resources.files(__name__)))
    return sorted(p.name for p in root.iterdir() if (p / SOLVE).is_file())


def _files(root: Path) -> list[Path]:
    """All files of a set, whatever a run reads of them, in the order in which they are hashed."""
    order = (*_PLACEHOLDERS, *sorted(p.name for p in root.glob("*.txt")), SECTIONS)
    return [root / name for name in dict.fromkeys(order) if (root / name).is_file()]


def _placeholders(template: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", template))


def _sections(text: str, root: Path) -> Sections:
    where = root / "sections.toml"
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{where}: not a TOML file: {error}") from None
    headings = table.get("headings", {})
    lacking = sorted({"failure", "heuristic"} - set(headings))
    if lacking or "step_reference" not in table:
        raise ValueError(f"{where}: needs step_reference and headings failure and heuristic; lacks {lacking}")
    step_reference = _pattern(table["step_reference"], f"{where}: step_reference")
    if step_reference.groups < 1:
        raise ValueError(
            f"{where}: step_reference: the step number must be in parentheses; got {table['step_reference']}"
        )
    statement = table.get("step_statement")
    sections = Sections(
        step_label=table.get("step_label", ""),
        headings={name: _pattern(text, f"{where}: headings.{name}") for name, text in headings.items()},
        step_reference=step_reference,
        step_statement=_pattern(statement, f"{where}: step_statement") if statement else None,
        steps_left_out=table.get("steps_left_out", "[...]"),
        opening=table.get("opening", ""),
    )
    _check_opening(sections, where)
    _check_notice(sections, where)
    return sections


def _check_opening(sections: Sections, where: Path) -> None:
    """Refuses an opening that would not be read as the statement of its step."""
    opening = sections.opening
    if not isinstance(opening, str) or (opening and "{step}" not in opening):
        raise ValueError(f"{where}: opening: expected text with {{step}} in it, got {opening!r}")
    if opening and not sections.headings["failure"].search(sections.opening_at(7)):
        raise ValueError(f"{where}: opening: expected the heading of the failure section in it, got {opening!r}")


def _check_notice(sections: Sections, where: Path) -> None:
    """Refuses a line for left out steps that would pass for a step, for a section or for nothing."""
    notice = sections.steps_left_out
    if not isinstance(notice, str) or not notice.strip() or "\n" in notice:
        raise ValueError(f"{where}: steps_left_out: expected one line that says so, got {notice!r}")
    example = fill(notice, {"first": "1", "last": "2"})
    if without_marks(example, sections.step_label) != example:
        raise ValueError(f"{where}: steps_left_out: reads like a step_label; got {notice!r}")
    if any(pattern.search(example) for pattern in sections.headings.values()):
        raise ValueError(f"{where}: steps_left_out: reads like a heading; got {notice!r}")


def _pattern(text: str, where: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(f"{where}: not a regular expression ({error}); got {text}") from None
