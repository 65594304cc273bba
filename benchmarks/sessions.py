"""Sessions of `mel`, each in a process of its own, forked from one that has imported everything; and what they left.

Most of a short session is imports. A server process pays for them once; every session is forked from it before anything
was computed there, so that it begins with no thread and no lock, and can be killed like any other process.
"""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mel.record import RunDirectory
from mel.record.rollouts import ROLLOUTS

ROOT = Path(__file__).resolve().parents[1]

CLOCKS = ("time", "runtime", "per_second")
"""Parts of the names of metrics that measure the clock and not the run."""

Request = dict[str, object]


class Sessions:
    """The server, as a context; sessions that still run when it is left are killed."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        self._server = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.sessions"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path},
            text=True,
        )

    def start(self, *arguments: str, log: Path, file_size: int | None = None) -> Session:
        """A session that runs `mel` with these arguments.

        Args:
            log: what it prints is appended there.
            file_size: bytes at most of every file that it writes; a file that grows further finds the disk full.
        """
        pid = self._ask({"arguments": arguments, "log": str(log), "file_size": file_size})
        return Session(pid=int(str(pid)), poll=lambda: self._ask({"poll": pid}))

    def run(self, *arguments: str, log: Path, file_size: int | None = None) -> int:
        """The exit status of a session that is left alone."""
        return self.start(*arguments, log=log, file_size=file_size).wait()

    def __enter__(self) -> Sessions:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()

    def _ask(self, request: Request) -> object:
        requests, answers = self._server.stdin, self._server.stdout
        assert requests is not None
        assert answers is not None
        requests.write(json.dumps(request) + "\n")
        requests.flush()
        return json.loads(answers.readline())


@dataclass(kw_only=True, slots=True)
class Session:
    """One process that runs.

    Args:
        poll: asks the server for the exit status, which it knows once.
        status: how it ended, as `subprocess` has it (-9: killed); None while it runs.
    """

    pid: int
    poll: Callable[[], object]
    status: int | None = None

    def has_ended(self) -> bool:
        """Whether it has ended; `status` then says how."""
        if self.status is None and (found := self.poll()) is not None:
            self.status = int(str(found))
        return self.status is not None

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        while not self.has_ended():
            time.sleep(0.02)
        return self.status or 0

    def signal(self, number: int) -> int:
        """Its exit status after this signal."""
        os.kill(self.pid, number)
        return self.wait()


def serve() -> None:
    """Answers one line of JSON with another, until there are no more."""
    _import_everything()
    running: set[int] = set()
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            running.discard(pid)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork() or _become(request)
            running.add(answer)
        print(json.dumps(answer), flush=True)
    for pid in running:
        os.kill(pid, 9)


def _import_everything() -> None:
    import mel.cli
    import mel.hosts.trl.fit
    import mel.miniature.policies
    import mel.run  # noqa: F401


def _become(request: Request) -> int:
    """The session itself; it never returns to the server's loop."""
    log = os.open(str(request["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor, target in ((log, 1), (log, 2), (os.open(os.devnull, os.O_RDONLY), 0)):
        os.dup2(descriptor, target)
    if request["file_size"] is not None:
        limit = int(str(request["file_size"]))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    code = 70
    try:
        from mel import cli

        sys.argv = ["mel", *map(str, request["arguments"])]  # type: ignore[arg-type]
        cli.main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def differences(expected: Path, path: Path) -> list[str]:
    """The names of what is not equal in two runs, clocks aside."""
    parts: dict[str, Callable[[Path], object]] = {
        "metrics": metrics_of,
        "weights": weights_of,
        "experiences": experiences_of,
        "rollouts": rollouts_of,
        "evaluations": scores_of,
        "state": lambda run: RunDirectory.open(run).status.state,
    }
    return [name for name, part in parts.items() if part(expected) != part(path)]


def rollouts_of(path: Path) -> list[dict[str, object]]:
    """Every rollout that the run keeps, in order; none where it keeps none."""
    from pyarrow import parquet

    files = sorted((path / ROLLOUTS).glob("*.parquet"))
    return [row for file in files for row in parquet.read_table(file).to_pylist()]


def metrics_of(path: Path) -> list[dict[str, object]]:
    """Every line without its clocks."""
    rows = RunDirectory.open(path).metrics.read()
    return [{k: v for k, v in row.items() if not any(word in k for word in CLOCKS)} for row in rows]


def weights_of(path: Path) -> bytes | None:
    """The trained model, byte by byte; None if there is none."""
    file = path / "model" / "model.safetensors"
    return file.read_bytes() if file.is_file() else None


def experiences_of(path: Path) -> list[tuple[object, ...]]:
    """Every candidate and every attempt, without their numbers in order of writing."""
    with sqlite3.connect(path / "experiences.db") as connection:
        rows = connection.execute("SELECT * FROM experiences ORDER BY step, rank, idx").fetchall()
        columns = "e.step, e.rank, e.idx, a.attempt, a.response, a.continuation, a.is_correct, a.reason"
        joined = "attempts a JOIN experiences e ON e.id = a.experience_id"
        attempts = connection.execute(f"SELECT {columns} FROM {joined} ORDER BY 1, 2, 3, 4").fetchall()
    return [row[1:] for row in rows] + attempts


def scores_of(path: Path) -> dict[str, object]:
    """The scores of every evaluation, problem by problem; None for one that was not finished."""
    files = {name: folder / "result.json" for name, folder in RunDirectory.open(path).evaluations.items()}
    return {name: json.loads(f.read_text())["scores"] if f.is_file() else None for name, f in files.items()}


if __name__ == "__main__":
    serve()
