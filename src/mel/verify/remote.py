"""A sandbox on a server that speaks SandboxFusion's protocol: one POST to `/run_code` per run.

https://github.com/bytedance/SandboxFusion. How well a program is confined there is the server's affair.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from mel.verify.sandbox import Program, Ran

_PATIENCE_S = 30.0
_TRIES = 3


class RemoteSandbox:
    """Runs programs at an address, `http://host:port` or with a path before `/run_code`."""

    def __init__(self, address: str) -> None:
        self.name = address
        self._url = address.rstrip("/") + "/run_code"

    def run(self, program: Program) -> Ran:
        """What the server says of the run; `unstarted` if it does not answer or is itself at fault."""
        asked = {
            "language": "python",
            "code": program.source,
            "stdin": program.stdin.decode("utf-8", "replace"),
            "run_timeout": program.limits.cpu_s,
            "memory_limit_MB": program.limits.memory_mb,
        }
        try:
            told = self._ask(json.dumps(asked).encode(), program.limits.cpu_s + _PATIENCE_S)
        except (OSError, ValueError) as error:
            return Ran(end="unstarted", exit_code=None, stderr=f"{self._url}: {error}")
        return _ran(told, limit=program.limits.output_kb * 1024)

    def _ask(self, body: bytes, patience_s: float) -> Mapping[str, Any]:
        """The answer to the request, asked again where the server is too busy to take it."""
        request = urllib.request.Request(self._url, data=body, headers={"Content-Type": "application/json"})
        for attempt in range(_TRIES):
            try:
                with urllib.request.urlopen(request, timeout=patience_s) as answer:
                    return json.loads(answer.read())
            except urllib.error.HTTPError as error:
                if error.code not in (429, 503) or attempt == _TRIES - 1:
                    raise
                time.sleep(0.5 * 2**attempt)
        raise AssertionError("unreachable")


def _ran(told: Mapping[str, Any], *, limit: int) -> Ran:
    """The server's answer as one of ours.

    Raises nothing: an answer that makes no sense is `unstarted`.
    """
    run = told.get("run_result")
    if told.get("status") == "SandboxError" or not isinstance(run, Mapping):
        return Ran(end="unstarted", exit_code=None, stderr=str(told.get("message") or told)[:400])
    stdout = str(run.get("stdout") or "").encode("utf-8", "replace")
    stderr = str(run.get("stderr") or "")[-4000:]
    if run.get("status") == "TimeLimitExceeded":
        return Ran(end="timeout", exit_code=None, stdout=stdout, stderr=stderr)
    code = run.get("return_code")
    if run.get("status") != "Finished" or not isinstance(code, int):
        return Ran(end="unstarted", exit_code=None, stderr=f"{run.get('status')}: {stderr[-300:]}")
    if len(stdout) > limit:
        return Ran(end="output", exit_code=None, stdout=stdout[:limit], stderr=stderr)
    return Ran(end="exited", exit_code=code, stdout=stdout, stderr=stderr)
