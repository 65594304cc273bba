"""The port to a remote sandbox, against a small server that speaks SandboxFusion's protocol."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from mel.types import Problem
from mel.verify import FunctionTests, ProgramLimits, ProgramVerifier, as_metadata
from mel.verify.remote import RemoteSandbox
from mel.verify.sandbox import Program

LIMITS = ProgramLimits(cpu_s=30, output_kb=1)


class Server(BaseHTTPRequestHandler):
    """Runs what it is sent, unconfined: only programs of these tests come here."""

    asked: ClassVar[list[dict]] = []
    busy: ClassVar[list[int]] = []

    def do_POST(self) -> None:
        assert self.path == "/run_code"
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(asked)
        if self.busy:
            self.send_error(self.busy.pop())
            return
        body = json.dumps(self.answer(asked)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self, asked: dict) -> dict:
        if "make the sandbox fail" in asked["code"]:
            return {"status": "SandboxError", "message": "no room", "run_result": None}
        try:
            ran = subprocess.run(
                [sys.executable, "-I", "-c", asked["code"]],
                input=asked["stdin"].encode(),
                capture_output=True,
                timeout=asked["run_timeout"],
            )
        except subprocess.TimeoutExpired:
            return {"status": "Failed", "message": "", "run_result": {"status": "TimeLimitExceeded"}}
        result = {
            "status": "Finished",
            "execution_time": 0.1,
            "return_code": ran.returncode,
            "stdout": ran.stdout.decode(),
            "stderr": ran.stderr.decode(),
        }
        return {"status": "Failed" if ran.returncode else "Success", "message": "", "run_result": result}

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def run(address: str, source: str, stdin: bytes = b"", limits: ProgramLimits = LIMITS):
    return RemoteSandbox(address).run(Program(source=source, stdin=stdin, limits=limits))


def test_output_exit_code_and_errors_come_back(address: str):
    good = run(address, "print(input())", b"1 2\n")
    assert (good.end, good.exit_code, good.stdout) == ("exited", 0, b"1 2\n")
    bad = run(address, "raise SystemExit(3)")
    assert (bad.end, bad.exit_code) == ("exited", 3)
    assert "ZeroDivisionError" in run(address, "1 / 0").stderr
    assert Server.asked[-1] == {
        "language": "python",
        "code": "1 / 0",
        "stdin": "",
        "run_timeout": 30,
        "memory_limit_MB": 512,
    }


def test_too_long_and_too_much_are_told_apart(address: str):
    assert run(address, "while True: pass", limits=ProgramLimits(cpu_s=1)).end == "timeout"
    assert run(address, "print('x' * 10000)").end == "output"


def test_a_busy_server_is_asked_again_and_a_failing_one_is_no_verdict(address: str):
    Server.busy[:] = [503]
    assert run(address, "print(1)").stdout == b"1\n"
    failed = run(address, "make the sandbox fail")
    assert (failed.end, failed.stderr) == ("unstarted", "no room")
    assert run("http://127.0.0.1:9", "print(1)").end == "unstarted"


def test_a_recipe_names_the_server_and_programs_are_judged_there(address: str):
    tests = FunctionTests(tests=("assert f(2) == 4",), names=("f",))
    problem = Problem(id="p", text="?", answer="", metadata={"tests": as_metadata(tests)})
    verifier = ProgramVerifier(sandbox=address, workers=1, limits=ProgramLimits())
    programs = ("def f(x): return x * x", "def f(x): return x", "import os\nos._exit(0)")
    found = verifier.verify([problem] * 3, [f"```python\n{p}\n```" for p in programs])
    assert [v.reason for v in found] == ["right", "wrong", "exited"], found
