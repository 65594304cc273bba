"""The splits of a task that reads records: which become problems, with the checks that every such task makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mel.tasks.account import Loaded, Read, hold_out, take
from mel.tasks.records import Record, is_single_file, load_records
from mel.types import Problem

VALIDATION = "validation"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where the records of a task are.

    Args:
        location: hub id or path; `{split}` in a path is replaced.
        splits: our split name -> the split's name at the source. A single local file serves the first one.
        published_records: split -> numbers of records that were published; checked at load. Empty: any count.
        split_of: the split that a record of a single file belongs to, where the records themselves say it: such a file
            serves every split. None where they do not.
    """

    location: str
    config: str | None = None
    splits: Mapping[str, str] = field(default_factory=lambda: {"train": "train"})
    published_records: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    split_of: Callable[[Record], str] | None = None

    def records(self, split: str) -> list[Record]:
        """The records of a split, in the order of the source.

        Raises:
            ValueError: a source that cannot be read, or none of whose records belongs to the split.
        """
        found = load_records(self.location, split=self.splits[split], config=self.config)
        if self.split_of is None or not is_single_file(self.location):
            return found
        ours = [record for record in found if self.split_of(record) == split]
        if not ours:
            raise ValueError(
                f"{self.location!r}: expected records of split {split!r}; by their ids all {len(found):,} belong to "
                + ", ".join(sorted({self.split_of(record) for record in found}))
            )
        return ours


class Splits:
    """The problems of each split, read once.

    Args:
        name: of the task, for messages.
        read: the problem of each record, or why it holds none.
        refuses: why a task does not want a problem; empty if it does.
        holdout: this many problems, chosen by hash of their text, form the split `validation` instead of `train`.
        advice: what to look at if no record becomes a problem.

    Raises:
        ValueError: a holdout below 0.
    """

    def __init__(
        self,
        name: str,
        place: Place,
        *,
        read: Callable[[Sequence[Record]], list[Read]],
        refuses: Callable[[Problem], str] = lambda _: "",
        is_deduplicated: bool,
        holdout: int = 0,
        advice: str,
    ) -> None:
        if holdout < 0:
            raise ValueError(f"task {name}: expected holdout >= 0 problems, got {holdout}")
        self._name, self._place = name, place
        self._read, self._refuses = read, refuses
        self._is_deduplicated = is_deduplicated
        self._holdout = holdout
        self._advice = advice
        self._loaded: dict[str, Loaded] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Every split that there is."""
        return tuple(dict.fromkeys([*self._place.splits, *([VALIDATION] if self._holdout else [])]))

    def loaded(self, split: str) -> Loaded:
        """The problems of a split and what was dropped.

        Raises:
            ValueError: no such split, a source that cannot be read, or a row count that was not published.
        """
        if split not in self._loaded:
            is_held = split == VALIDATION and self._holdout > 0
            whole = self._load("train" if is_held or split not in self._place.splits else split, split)
            if self._holdout and split in ("train", VALIDATION):
                whole = hold_out(whole, self._holdout, keep_held=is_held)
            self._loaded[split] = whole
        return self._loaded[split]

    def _load(self, split: str, asked: str) -> Loaded:
        place = self._place
        if split not in place.splits or (asked != split and not (asked == VALIDATION and self._holdout)):
            known = ", ".join(self.names)
            advice = " (holdout makes validation)" if "train" in place.splits else ""
            raise ValueError(f"task {self._name}: expected a split among {known}; got {asked!r}{advice}")
        records = place.records(split)
        published = place.published_records.get(split, ())
        if published and len(records) not in published:
            expected = " or ".join(f"{n:,}" for n in published)
            raise ValueError(
                f"task {self._name}: expected the published {expected} rows in split {split!r}, found {len(records):,} "
                f"in {place.location!r}; check the file, or set `rows: any` if another version is meant"
            )
        found = take(self._read(records), is_deduplicated=self._is_deduplicated, refuses=self._refuses)
        if not found.problems:
            why = ", ".join(f"{reason} {count:,}" for reason, count in found.dropped.items())
            raise ValueError(
                f"task {self._name}: expected at least one problem in {place.location!r}; all of its {len(records):,} "
                f"records are left out ({why}): {self._advice}"
            )
        return found


class RecordTask:
    """What every task does that reads records: problems by split, and the account of what was left out."""

    _splits: Splits

    @property
    def splits(self) -> tuple[str, ...]:
        """Every split that its source serves."""
        return self._splits.names

    def problems(self, split: str, count: int | None = None) -> Sequence[Problem]:
        """The first `count` problems of a split, all if None.

        Raises:
            ValueError: no such split, a source that cannot be read, or a row count that was not published.
        """
        found = self.loaded(split).problems
        return found if count is None else found[:count]

    def loaded(self, split: str) -> Loaded:
        """The problems of a split and what was dropped; read once."""
        return self._splits.loaded(split)


def splits_of(source: str | None, splits: Mapping[str, str]) -> Mapping[str, str]:
    """The splits that this source serves in the place of the published one: a single file serves the first alone."""
    return dict([next(iter(splits.items()))]) if source is not None and is_single_file(source) else splits


def published_by(
    name: str, rows: int | str | None, splits: Mapping[str, str], published: Mapping[str, tuple[int, ...]]
) -> Mapping[str, tuple[int, ...]]:
    """The row counts to expect, as the option `rows` asks: another number, `any` for no check, None for the published.

    Raises:
        ValueError: another text than `any`.
    """
    if rows is None:
        return published
    if rows != "any" and not isinstance(rows, int):
        raise ValueError(f"task {name}: expected rows to be a number or 'any', got {rows!r}")
    return {} if isinstance(rows, str) else dict.fromkeys(splits, (rows,))
