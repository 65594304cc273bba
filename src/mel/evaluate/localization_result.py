"""What a localization writes: localization.json with every score, localization.md with a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mel.evaluate.localization import LocalizationScores
from mel.evaluate.responses import Settings
from mel.evaluate.result import counts_in_words
from mel.record.metrics_log import replace_file

RESULT, TABLE = "localization.json", "localization.md"

HEADINGS = ("localizer", "wrong", "exact", "within 1", "named", "offset", "right", "accepted", "F1")


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalizationResult:
    """Scores of localizers on some data, and what they were made of.

    Args:
        data: file or hub id.
        in_view: whether a right solution was in view.
        skipped: records that were passed over, by reason.
        scores: of what the model named, then of the free localizers and of constant steps, for each source.
        settings: what the model was asked to do; None where none was asked.
        tokens, seconds: spent on all responses, over all sessions of one that was resumed.
        reasons: verdicts on the responses, by reason.
    """

    data: str
    in_view: bool
    skipped: Mapping[str, int]
    scores: tuple[LocalizationScores, ...]
    settings: Settings | None = None
    tokens: int = 0
    seconds: float = 0.0
    truncated: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


def write_localization(result: LocalizationResult, directory: Path) -> None:
    """Write both files into the directory; whoever reads meanwhile meets whole files."""
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(result), indent=1, ensure_ascii=False) + "\n"
    replace_file(directory / RESULT, text, doing="writing a localization")
    replace_file(directory / TABLE, localization_markdown(result), doing="writing the table of a localization")


def localization_markdown(result: LocalizationResult) -> str:
    """A table for each source, in percent, and how it was made."""
    parts: list[str] = []
    for source, rows in by_source_name(result.scores).items():
        parts += [f"**{source}**", "", f"| {' | '.join(HEADINGS)} |", "|---" * len(HEADINGS) + "|"]
        parts += [f"| {' | '.join(cells(row))} |" for row in rows]
        parts.append("")
    return "\n".join([*parts, *about(result)]) + "\n"


def by_source_name(scores: Sequence[LocalizationScores]) -> dict[str, list[LocalizationScores]]:
    """The scores of each source, in order."""
    found: dict[str, list[LocalizationScores]] = {}
    for row in scores:
        found.setdefault(row.source, []).append(row)
    return found


def cells(row: LocalizationScores) -> list[str]:
    """What a table shows of a localizer: counts, shares in percent, the offset in steps, a dash where there is none."""
    offset = "-" if row.offset is None else f"{row.offset:+.2f}"
    shares = {name: _percent(getattr(row, name)) for name in ("exact", "within_one", "named", "accepted", "f1")}
    return [
        row.localizer, f"{row.wrong:,.0f}", shares["exact"], shares["within_one"], shares["named"], offset,
        f"{row.right:,.0f}", shares["accepted"], shares["f1"],
    ]  # fmt: skip


def about(result: LocalizationResult) -> list[str]:
    """How the scores were made and what was passed over, in sentences."""
    lines = [f"{result.data}, the right solution {'in view' if result.in_view else 'not in view'}."]
    if result.skipped:
        lines.append(f"Records passed over: {counts_in_words(result.skipped)}.")
    s = result.settings
    if s is not None:
        limit = f", at most {s.max_tokens} each, {result.truncated:,} truncated" if s.max_tokens else ""
        lines.append(
            f"Model {s.model}, {s.prompts}, engine {s.engine}: {sum(result.reasons.values()):,} answers, "
            f"{result.tokens:,} tokens generated in {result.seconds:.1f} s{limit}. "
            f"Answers: {counts_in_words(result.reasons)}."
        )
    return lines


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
