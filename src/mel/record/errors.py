"""The errors of `mel.record`; the tree is drawn in the package's docstring."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class RunDirectoryError(ValueError):
    """The path cannot be created as, or opened as, a run directory."""


class MetricsError(ValueError):
    """metrics.jsonl is damaged, or was asked to go back in steps."""


class StoreError(ValueError):
    """experiences.db is damaged, is another program's file, or was written by a newer version."""


class DiskFullError(OSError):
    """No space is left where the run writes; what was written before is whole."""

    def __init__(self, path: Path, doing: str) -> None:
        super().__init__(
            errno.ENOSPC,
            f"no space left while {doing}: what was written before is whole; free some space (or raise the quota "
            f"or the file size limit) and continue with --resume",
            str(path),
        )


class RunBusyError(OSError):
    """Another process writes this run directory."""


class StoreBusyError(OSError):
    """Another process keeps experiences.db locked."""


@contextmanager
def disk_full_as_error(path: Path, doing: str) -> Iterator[None]:
    """Turn ENOSPC, an exceeded quota or file size limit into `DiskFullError`; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFullError(path, doing) from error
        raise
