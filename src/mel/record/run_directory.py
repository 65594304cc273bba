"""The run directory: one place for everything that a run was told, did and found (docs/run_directory.md)."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Literal

from mel import recipe_yaml
from mel.record.errors import RunDirectoryError, disk_full_as_error
from mel.record.lock import is_left
from mel.record.metrics_log import MetricsLog, replace_file
from mel.record.rollouts import ROLLOUTS, RolloutLog, drop_after
from mel.record.store import ExperienceStore

State = Literal["created", "running", "finished", "failed", "stopped"]

GOING_ON: tuple[State, ...] = ("created", "running")
"""States of runs that may still write."""

INTERRUPTED = "interrupted"
"""What a run is called that was killed: nothing could write so."""

RECIPE, ENVIRONMENT, STATUS = "recipe.yaml", "environment.json", "status.json"
METRICS, EXPERIENCES, EVALUATIONS, CHECKPOINTS = "metrics.jsonl", "experiences.db", "evaluations", "checkpoints"

BEFORE, AFTER = "before-", "after-"
"""Prefixes of the evaluations of the untrained and the trained policy; a name without one counts as trained."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """The state of a run.

    Args:
        state: `running` also after a kill -9: `RunDirectory.state_now` tells the two apart.
        step: the last optimizer step that was reported.
        message: for a person: the error of a failed run.
        started_at, updated_at: UTC, ISO 8601.
        resumed_at: one entry per continuation.
    """

    state: State
    step: int
    message: str
    pid: int
    started_at: str
    updated_at: str
    resumed_at: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Truncated:
    """What a resume dropped because it lay after the checkpoint."""

    metrics: int
    experiences: int


class RunDirectory:
    """A run on disk. Make one with `create` (a new run) or `open` (to resume, evaluate or report it).

    Only one process writes; any number may read meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metrics = MetricsLog(path / METRICS)

    @classmethod
    def create(cls, path: str | Path, recipe: Mapping[str, object], environment: Mapping[str, object]) -> RunDirectory:
        """A new run directory with an empty log and an empty store.

        Args:
            recipe: resolved: every default filled in. Plain YAML values.
            environment: versions, commit, cores, seeds, prompt hashes; JSON values.

        Raises:
            RunDirectoryError: the path exists and is not an empty directory.
        """
        path = Path(path)
        cls.check_free(path)
        with disk_full_as_error(path, "creating the run directory"):
            for folder in (EVALUATIONS, CHECKPOINTS):
                (path / folder).mkdir(parents=True, exist_ok=True)
        replace_file(path / ENVIRONMENT, _json(environment), doing="writing the environment")
        ExperienceStore.create(path / EXPERIENCES).close()
        run = cls(path)
        now = _now()
        run._write_status(Status(state="created", step=0, message="", pid=os.getpid(), started_at=now, updated_at=now))
        run.metrics.path.touch()
        # The recipe comes last: a directory without one was not finished and is not taken for a run.
        run.set_recipe(recipe)
        return run

    @staticmethod
    def check_free(path: Path) -> None:
        """Refuse a path that a new run cannot take.

        Raises:
            RunDirectoryError: it exists and is not an empty directory.
        """
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            is_run = (path / RECIPE).is_file()
            raise RunDirectoryError(
                f"{path}: expected a path that does not exist yet; {'a run is' if is_run else 'something is'} already "
                f"there. {'Continue it with --resume, or choose' if is_run else 'Choose'} another output directory, or "
                f"delete this one"
            )

    @staticmethod
    def remove_half_made(path: Path) -> None:
        """Delete what `create` leaves if it is killed: a directory without a recipe that holds nothing else.

        Only for a caller who knows that nobody is making it at this moment.
        """
        if not path.is_dir() or (path / RECIPE).exists():
            return
        made = (EVALUATIONS, CHECKPOINTS, ENVIRONMENT, EXPERIENCES, STATUS, METRICS, RECIPE)
        is_ours = all(p.name.startswith(made) for p in path.iterdir())
        if is_ours and not any(p.is_file() for name in (EVALUATIONS, CHECKPOINTS) for p in (path / name).rglob("*")):
            shutil.rmtree(path)

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """The run at that path.

        Raises:
            RunDirectoryError: no such directory, or something in it is missing.
        """
        path = Path(path)
        if not path.is_dir():
            raise RunDirectoryError(
                f"{path}: expected a run directory (mel train and mel eval write one); there is no such directory"
            )
        missing = [name for name in (RECIPE, ENVIRONMENT, STATUS, EXPERIENCES) if not (path / name).is_file()]
        if missing:
            raise RunDirectoryError(
                f"{path}: expected a run directory; it lacks {', '.join(missing)}. Point at the directory that mel "
                f"train or mel eval named, or, if its start was interrupted, delete it and begin again"
            )
        return cls(path)

    @cached_property
    def recipe(self) -> dict[str, object]:
        """The resolved recipe."""
        return recipe_yaml.load((self.path / RECIPE).read_text(encoding="utf-8"))

    @cached_property
    def environment(self) -> dict[str, object]:
        """Versions, commit, cores, seeds, prompt hashes."""
        return json.loads((self.path / ENVIRONMENT).read_text(encoding="utf-8"))

    @cached_property
    def experiences(self) -> ExperienceStore:
        """The experience store, opened on first use."""
        return ExperienceStore.open(self.path / EXPERIENCES)

    @cached_property
    def rollouts(self) -> RolloutLog:
        """The log of training rollouts, to be written.

        Raises:
            ValueError: what writes Parquet is not installed.
        """
        return RolloutLog(self.path / ROLLOUTS)

    def set_recipe(self, recipe: Mapping[str, object]) -> None:
        """Replace the recipe: an evaluation that is continued may ask for more suites."""
        replace_file(self.path / RECIPE, recipe_yaml.dump(dict(recipe)), doing="writing the recipe")
        self.__dict__.pop("recipe", None)

    @property
    def checkpoints(self) -> Path:
        return self.path / CHECKPOINTS

    @property
    def status(self) -> Status:
        row = json.loads((self.path / STATUS).read_text(encoding="utf-8"))
        return Status(**{**row, "resumed_at": tuple(row["resumed_at"])})

    @property
    def state_now(self) -> str:
        """The state, or `interrupted` where that says `running` and the process that wrote it is gone."""
        state = self.status.state
        return INTERRUPTED if state in GOING_ON and is_left(self.path) else state

    def set_status(self, state: State, *, step: int | None = None, message: str = "") -> None:
        """Say where the run stands; `step` None leaves the last one."""
        old = self.status
        step = old.step if step is None else step
        self._write_status(replace(old, state=state, step=step, message=message, pid=os.getpid(), updated_at=_now()))

    def evaluation(self, name: str) -> Path:
        """The directory of that evaluation (made if need be), for `mel.evaluate.evaluation.evaluate(out=...)`."""
        if not name or name in (".", "..") or "/" in name:
            raise ValueError(f"evaluation name: expected a plain word such as heldout or heldout-l8; got {name!r}")
        path = self.path / EVALUATIONS / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def evaluations(self) -> dict[str, Path]:
        """Name -> directory of every evaluation, by name."""
        root = self.path / EVALUATIONS
        return {p.name: p for p in sorted(root.iterdir()) if p.is_dir()} if root.is_dir() else {}

    def remove_if_blank(self) -> None:
        """Deletes a directory in which nothing was done: no step, no response of an evaluation, no checkpoint."""
        done = (self.path / folder for folder in (EVALUATIONS, CHECKPOINTS))
        if not self.metrics.read() and not any(p.is_file() for folder in done for p in folder.rglob("*")):
            self.close()
            shutil.rmtree(self.path)

    def drop_evaluations(self, prefix: str) -> None:
        """Delete the evaluations whose names have this prefix: training will replace the weights that they measured."""
        for name, folder in self.evaluations.items():
            if name.startswith(prefix):
                shutil.rmtree(folder)

    def truncate_after(self, step: int) -> Truncated:
        """Delete metrics, experiences and rollouts of later steps, which a resumed run writes again."""
        drop_after(self.path / ROLLOUTS, step)
        dropped = Truncated(
            metrics=self.metrics.truncate_after(step), experiences=self.experiences.truncate_after(step)
        )
        old = self.status
        self._write_status(
            replace(
                old,
                state="running",
                step=step,
                pid=os.getpid(),
                updated_at=_now(),
                resumed_at=(*old.resumed_at, _now()),
            )
        )
        return dropped

    def close(self) -> None:
        """Close the store; the directory can be moved or read by others without a trace of this process."""
        if "experiences" in self.__dict__:
            self.experiences.close()
            del self.__dict__["experiences"]

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write_status(self, status: Status) -> None:
        replace_file(self.path / STATUS, _json(asdict(status)), doing="writing the status")


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(dict(value), indent=2, ensure_ascii=False, default=str) + "\n"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
