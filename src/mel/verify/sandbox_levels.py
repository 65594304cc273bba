"""Which sandbox runs programs: the best level that holds on this machine, or the server that a recipe names.

A level is offered if its packages are installed and a program that tries to get out of it gets nowhere.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from mel.verify.confinement import LEVELS, missing_packages
from mel.verify.remote import RemoteSandbox
from mel.verify.sandbox import Program, ProgramLimits, Sandbox, interpreter
from mel.verify.supervision import LocalSandbox
from mel.verify.worker import Judgment

AUTO = "auto"


class SandboxChoice(NamedTuple):
    """Which sandbox a worker opens.

    Args:
        level: one of `LEVELS`, or the address of a server (`http://...`).
        interpreter: path of the Python that runs programs; None for the one that runs now.
    """

    level: str
    interpreter: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """What became of a level on this machine.

    Args:
        fault: why it is not offered; empty if it is.
    """

    level: str
    fault: str = ""


@lru_cache(maxsize=16)
def open_sandbox(choice: SandboxChoice) -> Sandbox:
    """The sandbox of that choice, in this process."""
    if is_address(choice.level):
        return RemoteSandbox(choice.level)
    return LocalSandbox(LEVELS[choice.level], interpreter(choice.interpreter))


def is_address(level: str) -> bool:
    """Names a server and no level of this machine."""
    return level.startswith(("http://", "https://"))


class ProbeJob(NamedTuple):
    """Whether a level holds here: a job for the pool, since a sandbox is started in a process without threads."""

    choice: SandboxChoice


def prepare() -> None:
    """Nothing is loaded before it is known to be installed."""


def judge(job: ProbeJob) -> Judgment:
    """Right if a program that tried everything in `inside/probe.py` got nowhere; else what it got."""
    level = LEVELS[job.choice.level]
    missing = missing_packages(level)
    if missing:
        return Judgment(False, "missing", f"pip install {' '.join(missing)}")
    try:
        fault = _fault(LocalSandbox(level, interpreter(job.choice.interpreter)))
    except Exception as error:  # a library that cannot be loaded here is no level
        fault = f"{type(error).__name__}: {str(error)[:200]}"
    return Judgment(not fault, "right" if not fault else "escaped", fault)


@cache
def _probe() -> str:
    return files("mel.verify").joinpath("inside/probe.py").read_text("utf-8")


def _fault(sandbox: Sandbox) -> str:
    """What a program can do there that it must not; empty if nothing."""
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        secret = folder / "secret"
        secret.write_text("secret")
        secret.chmod(0o666)
        tcp = held.enter_context(socket.socket())
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        udp = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        local = held.enter_context(socket.socket(socket.AF_UNIX))
        local.bind(str(folder / "socket"))
        local.listen()
        (folder / "socket").chmod(0o777)
        outside = {
            "secret": str(secret),
            "socket": str(folder / "socket"),
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
            "host": os.getpid(),
        }
        before = _state(secret)
        stdin = json.dumps(outside).encode()
        ran = sandbox.run(Program(source=_probe(), stdin=stdin, limits=ProgramLimits(timeout_s=20.0)))
        if ran.end != "exited" or ran.exit_code != 0:
            return f"the probe did not run ({ran.end}, exit code {ran.exit_code}): {ran.stderr[-200:]}"
        got = ran.stdout.decode().split()
        if "datagram" in got and not _has_come(udp):
            got.remove("datagram")  # it went to a network of the sandbox's own
        if _state(secret) != before:
            got.append("changed_a_file_outside")
        return "" if got == ["done"] else f"a program got out: {' '.join(got)}"


def _has_come(receiver: socket.socket) -> bool:
    receiver.settimeout(0.2)
    try:
        return bool(receiver.recv(1))
    except TimeoutError:
        return False


def _state(path: Path) -> tuple[object, ...]:
    found = path.stat()
    return found.st_mode, found.st_uid, found.st_mtime_ns, path.read_text()
