"""One run of a program, supervised: the clock, the output, and everything that it may leave behind.

The supervisor is a process of its own, forked for the run. It adopts whatever its program's children leave behind, so
that nothing of a run outlives it, and its limits end with it.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import select
import shutil
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from mel.launch import signal_when_parent_ends
from mel.verify.confinement import NOBODY, UNSTARTED, Level, Start
from mel.verify.sandbox import End, Interpreter, Program, Ran

_PR_SET_CHILD_SUBREAPER = 36
_STDERR_CHARS = 4000
_PIPE = 65536
_END_S = 600.0
_KILLED = (-signal.SIGKILL, -signal.SIGXCPU, 128 + signal.SIGKILL, 128 + signal.SIGXCPU)
"""How a program ends that has used up its processor time: seen at once, or through a parent of it that tells."""


class LocalSandbox:
    """Runs programs on this machine at one level of confinement.

    `run` forks: it belongs in a process without threads, which a worker of the pool is.
    """

    def __init__(self, level: Level, interpreter: Interpreter) -> None:
        for module in level.needs:  # once here, not in the supervisor of every run
            importlib.import_module(module)
        self.name = level.name
        self._level = level
        self._interpreter = interpreter

    def run(self, program: Program) -> Ran:
        """Run it under a supervisor of its own and hand back what that reports."""
        folder = tempfile.mkdtemp(prefix="mel-sandbox-")
        try:
            at = self._place(folder, program)
            report, end = os.pipe()
            supervisor = os.fork()
            if not supervisor:
                _supervise(self._level, at, program, end)
            os.close(end)
            with os.fdopen(report, "rb") as told:
                reported = told.read()
            os.waitpid(supervisor, 0)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return _read_report(reported)

    def _place(self, folder: str, program: Program) -> Start:
        script = Path(folder) / "main.py"
        script.write_text(program.source, encoding="utf-8", errors="surrogatepass")
        script.chmod(0o644)
        os.chmod(folder, 0o755)  # whoever the program becomes
        if os.geteuid() == 0 and self._interpreter.is_for_everyone:
            os.chown(folder, NOBODY, NOBODY)
        return Start(interpreter=self._interpreter, folder=folder, script=str(script), limits=program.limits)


def _read_report(reported: bytes) -> Ran:
    head, _, stdout = reported.partition(b"\n")
    try:
        told = json.loads(head)
    except ValueError:
        return Ran(end="unstarted", exit_code=None, stderr="the supervisor ended without a report")
    return Ran(end=told["end"], exit_code=told["exit_code"], stdout=stdout, stderr=told["stderr"])


def _supervise(level: Level, at: Start, program: Program, report: int) -> NoReturn:
    """Start, feed, read and end the program, write the report, and end."""
    try:
        run = _Run(level, at, program, report)
        run.start()
        run.to_the_end()
        run.tell(report)
    except BaseException as error:
        head = {"end": "unstarted", "exit_code": None, "stderr": f"{type(error).__name__}: {error}"}
        with suppress(OSError):
            os.write(report, json.dumps(head).encode() + b"\n")
    finally:
        with suppress(BaseException):
            _end_all()
        os._exit(0)


class _Run:
    """The program's process with its three streams, seen from the supervisor."""

    def __init__(self, level: Level, at: Start, program: Program, report: int) -> None:
        self._level, self._at, self._program = level, at, program
        self._rest = memoryview(program.stdin)
        self._written = {1: bytearray(), 2: bytearray()}
        self._deadline = time.monotonic() + program.limits.timeout_s
        self._end: End = "exited"
        self._status = 0
        self._report = report

    def start(self) -> None:
        """Become its supervisor and start it on pipes in the place of the standard streams."""
        _become_supervisor(self._at.folder)
        pairs = [os.pipe(), os.pipe(), os.pipe()]
        ours = [pairs[0][1], pairs[1][0], pairs[2][0]]
        for number, (read, write) in enumerate(pairs):
            os.dup2(read if number == 0 else write, number)
        kept = {*ours, self._report}
        for number in _open_files():
            if number > 2 and number not in kept:
                with suppress(OSError):
                    os.close(number)
        self._in, self._out, self._err = ours
        self._child = self._level.start(self._at)
        signal_when_parent_ends(signal.SIGTERM)  # again, for a level that changed the user
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nowhere, number)
        for number in ours:
            os.set_blocking(number, False)

    def to_the_end(self) -> None:
        """Until it has ended by itself or by a limit, with nothing of it left."""
        ended = os.pidfd_open(self._child)
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        poll.register(self._out, select.POLLIN)
        poll.register(self._err, select.POLLIN)
        if self._rest:
            poll.register(self._in, select.POLLOUT)
        else:
            os.close(self._in)
        is_over = False
        while not is_over:
            left = self._deadline - time.monotonic()
            events = dict(poll.poll(max(left, 0) * 1000))
            if left <= 0:
                self._end = "timeout"
                break
            is_over = ended in events or not self._serve(events, poll)
        self._status = _end_all(self._child)
        for number in (self._out, self._err):  # all who could write are gone
            self._read(number)

    def _serve(self, events: dict[int, int], poll: select.poll) -> bool:
        """Move what can be moved; False once it has written more than it may."""
        if self._in in events and not self._feed():
            poll.unregister(self._in)
            os.close(self._in)
        for number in (self._out, self._err):
            if number in events and not self._read(number, once=True):
                poll.unregister(number)
        return self._end != "output"

    def _feed(self) -> bool:
        """Whether there is more to give."""
        try:
            self._rest = self._rest[os.write(self._in, self._rest[:_PIPE]) :]
        except BlockingIOError:
            return True
        except OSError:
            return False
        return bool(self._rest)

    def _read(self, number: int, *, once: bool = False) -> bool:
        """Take what it has written, up to the limit; False at the end of the stream."""
        kept = self._written[1 if number == self._out else 2]
        while self._end != "output":
            try:
                piece = os.read(number, _PIPE)
            except BlockingIOError:
                return True
            if not piece:
                return False
            kept += piece
            if sum(map(len, self._written.values())) > self._program.limits.output_kb * 1024:
                self._end = "output"
            if once:
                break
        return True

    def tell(self, report: int) -> None:
        """The report: a line about the end, and the standard output behind it."""
        code = os.waitstatus_to_exitcode(self._status) if self._end == "exited" else None
        if code in _KILLED and _used_s() >= 0.5 * self._program.limits.cpu_s:  # the kernel counts ticks
            self._end, code = "timeout", None
        stderr = self._written[2].decode("utf-8", "replace")[-_STDERR_CHARS:]
        end = "unstarted" if code == UNSTARTED else self._end
        head = json.dumps({"end": end, "exit_code": code, "stderr": stderr}).encode() + b"\n"
        with os.fdopen(report, "wb", closefd=False) as out:
            out.write(head + bytes(self._written[1]))


def _become_supervisor(folder: str) -> None:
    """Adopt what the program's children leave behind, and end with the worker, everything with it."""
    os.setsid()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGTERM, lambda *_: _end_everything(folder))
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal_when_parent_ends(signal.SIGTERM)


def _end_everything(folder: str) -> NoReturn:
    """For a worker that is gone: nobody else would remove its directory."""
    with suppress(BaseException):
        _end_all()
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def _end_all(child: int | None = None) -> int:
    """Kill every descendant and wait for it; the status of the child among them.

    A kill takes effect when the kernel next runs what is killed: beside other work that is a matter of minutes.
    """
    status = 0
    until = time.monotonic() + _END_S
    while time.monotonic() < until:
        alive = _children()
        for pid in alive:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            while True:
                pid, found = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                status = found if pid == child else status
        except ChildProcessError:
            break
        time.sleep(0.001)
    return status


def _used_s() -> float:
    """Processor time of everything that was started here and has ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _children() -> set[int]:
    """Processes whose parent this one is, whichever of its threads started them."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            found.update(map(int, (task / "children").read_text().split()))
    return found


def _open_files() -> list[int]:
    return [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]
