"""The pool in processes that other code makes: forked, daemonic, and never told to close."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

HEAD = r"""
import multiprocessing, os, sys
from mel.types import Problem
from mel.verify import Limits, MathVerifier, WorkerPool
verifier = MathVerifier(pool=WorkerPool(Limits(workers=1)))
def judge(name):
    answer = verifier.verify([Problem(id="a", text="", answer="0.75")], [r"\boxed{\frac{1}{2}+\frac14}"])[0]
    print(name, answer.reason, flush=True)
"""
FORK = """
judge("parent")
child = os.fork()
if not child:
    judge("child")
    END
print("child ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
judge("parent")
"""
PROCESS = """
if __name__ == "__main__":
    USE
    child = multiprocessing.get_context("fork").Process(target=judge, args=("child",), daemon=DAEMON)
    child.start()
    child.join(60)
    print("child ended", child.exitcode)
    judge("parent")
"""


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (FORK.replace("END", "sys.exit(0)"), ["parent right", "child right", "child ended 0", "parent right"]),
        (FORK.replace("END", "os._exit(0)"), ["parent right", "child right", "child ended 0", "parent right"]),
        (
            PROCESS.replace("USE", 'judge("parent")').replace("DAEMON", "False"),
            ["parent right", "child right", "child ended 0", "parent right"],
        ),
        (
            PROCESS.replace("USE", "pass").replace("DAEMON", "False"),
            ["child right", "child ended 0", "parent right"],
        ),
        (
            PROCESS.replace("USE", "pass").replace("DAEMON", "True"),
            ["child right", "child ended 0", "parent right"],
        ),
    ],
    ids=["forked from a used pool", "forked and left hard", "process after use", "process without close", "daemon"],
)
def test_a_child_process_gets_its_verdict_and_ends(tmp_path: Path, code: str, expected: list[str]) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(HEAD) + code)
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert ran.stdout.splitlines() == expected
    assert "Traceback" not in ran.stderr
    assert ran.returncode == 0
