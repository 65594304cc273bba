"""One writer per run directory: a lock that the kernel releases when its process ends, however it ends."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mel.record.errors import RunBusyError

LOCK = "lock"

_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
_held: set[int] = set()


@contextmanager
def only_writer(run: Path) -> Iterator[None]:
    """Keeps every other writer out of a run directory that exists; readers need no lock.

    Raises:
        RunBusyError: another process writes there.
    """
    descriptor = os.open(run / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take(descriptor, run)
        _held.add(descriptor)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    finally:
        _held.discard(descriptor)
        os.close(descriptor)


def is_left(run: Path) -> bool:
    """Whether the last writer of a run directory ran on this machine and is gone; False too if nobody can tell."""
    try:
        words = (run / LOCK).read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return False
    if len(words) != 4 or not words[1].isdecimal() or words[3] != socket.gethostname():
        return False
    try:
        os.kill(int(words[1]), 0)  # signal 0 only asks
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass
    return False


def _take(descriptor: int, run: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 200, 0).decode(errors="replace") or "another process"
        raise RunBusyError(
            f"{run}: expected a run that nobody writes; {holder} writes it now. Wait until that has ended, or stop it "
            f"(SIGTERM saves a checkpoint first), and give the command again"
        ) from None
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        warnings.warn(
            f"{run}: this file system has no locks ({error.strerror}); make sure that no other process writes there",
            stacklevel=4,
        )


def _forget_in_child() -> None:
    """A forked worker that outlives a killed run must not keep its lock."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)
