"""`mel` as a user runs it, in this process: another one would load torch and TRL anew, six seconds each time.

vLLM is given a process of its own for each command, as it keeps what it has taken until its process ends.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from unittest.mock import patch

from mel.cli import main


def mel(*words: str, fails: bool = False) -> str:
    """Output of a command; its errors if it must fail."""
    code, out, err = _in_a_process(*words) if "vllm" in words else _here(*words)
    assert (code != 0) == fails, out + err
    return err if fails else out


def _in_a_process(*words: str) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, "-m", "mel", *words], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def _here(*words: str) -> tuple[int, str, str]:
    out, err, code = io.StringIO(), io.StringIO(), 0
    # What the command puts into the environment ends with it, as with a process.
    with patch.dict(os.environ), patch("sys.argv", ["mel", *words]), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return code, out.getvalue(), err.getvalue()
