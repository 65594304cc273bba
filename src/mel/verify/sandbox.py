"""The sandbox: runs a program that nobody trusts, by a library that confines it or by a server that does.

`Sandbox` is the port. The levels of this machine are in `confinement.py`, the server in `remote.py`; docs/sandbox.md
says what each promises.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

End = Literal["exited", "timeout", "output", "unstarted"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProgramLimits:
    """What one run of a program may use.

    Args:
        cpu_s: seconds of processor time. They decide: beside other work a program takes longer, and no more of them.
        timeout_s: wall-clock seconds, for a program that waits and does not compute.
        memory_mb: address space.
        output_kb: what it may write to its standard output and error together; it is ended beyond.
        file_mb: size of any file it writes.
        open_files: at once.
        threads: at once, where the level counts them; processes of its own it may not start.
    """

    cpu_s: int = 10
    timeout_s: float = 100.0
    memory_mb: int = 512
    output_kb: int = 4096
    file_mb: int = 16
    open_files: int = 64
    threads: int = 32

    def __post_init__(self) -> None:
        for name in ("cpu_s", "timeout_s", "memory_mb", "output_kb", "file_mb", "open_files", "threads"):
            if getattr(self, name) <= 0:
                raise ValueError(f"expected {name} > 0, got {getattr(self, name)}")
        if self.memory_mb < 64:
            raise ValueError(f"expected memory_mb >= 64 (an interpreter takes 30), got {self.memory_mb}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """One run: a file of Python with its standard input."""

    source: str
    stdin: bytes = b""
    limits: ProgramLimits = field(default_factory=ProgramLimits)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """How a run ended and what it wrote.

    Args:
        end: `exited` by itself or by a signal, ended for its `timeout` or its `output`, or `unstarted`: the sandbox
            could not start it, which is no fault of the program.
        exit_code: negative for a signal; None unless it exited.
        stderr: the last 4,000 characters.
    """

    end: End
    exit_code: int | None
    stdout: bytes = b""
    stderr: str = ""


class Sandbox(Protocol):
    """Where programs run."""

    name: str

    def run(self, program: Program) -> Ran:
        """Run it to its end or its limits, and leave nothing behind."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Interpreter:
    """The Python that runs programs, with what of the disk it reads.

    Args:
        path: the executable itself, behind all links.
        readable: files and directories that a program may read; nothing else is in its reach.
    """

    path: str
    readable: tuple[str, ...]

    @property
    def is_for_everyone(self) -> bool:
        """Whether another user may run it: a root that starts programs as nobody needs that."""
        return all(_is_open_to_others(Path(p)) for p in (self.path, *self.readable))


def interpreter(path: str | None = None) -> Interpreter:
    """The interpreter at that path, or the one that runs now without its virtual environment.

    Raises:
        ValueError: no such executable.
    """
    own = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    found = os.path.realpath(path) if path else own
    if not os.access(found, os.X_OK):
        raise ValueError(f"expected the path of a Python interpreter, got {path!r}")
    prefix = Path(found).parent.parent
    libraries = [str(prefix / "lib")] if prefix != Path("/") else []
    if found == own:
        libraries.append(sysconfig.get_paths()["stdlib"])
    system = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"]
    there = dict.fromkeys(p for p in (found, *libraries, *system) if os.path.exists(p))
    return Interpreter(path=found, readable=tuple(there))


def _is_open_to_others(path: Path) -> bool:
    """Whether its mode lets anyone through to it."""
    try:
        return all(p.stat().st_mode & 0o001 or not p.is_dir() for p in (path, *path.parents))
    except OSError:
        return False
