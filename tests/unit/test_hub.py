"""Without a network a hub id fails in seconds, with one line that says what to give instead."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from socket import create_server

import pytest

from mel.hub import is_reachable

NOWHERE = "http://127.0.0.1:9"


class Refusing(BaseHTTPRequestHandler):
    """A hub that lets nobody in."""

    def do_HEAD(self) -> None:
        self.send_error(401)

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def refusing() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_server_that_refuses_is_there(refusing: str) -> None:
    assert is_reachable(refusing)


def test_an_address_at_which_nobody_listens_is_not_there() -> None:
    assert not is_reachable(NOWHERE)
    assert not is_reachable("no address")


def test_a_server_that_never_answers_is_given_up() -> None:
    started = time.monotonic()
    with create_server(("127.0.0.1", 0)) as silent:
        assert not is_reachable(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.3)
    assert time.monotonic() - started < 3.0


@pytest.mark.parametrize(
    ("loaded_before", "call"),
    [
        ("mel.tasks.records", "load_records('openai/gsm8k', config='main')"),
        ("mel.hosts.load", "load_tokenizer('Qwen/Qwen3-4B')"),
        # A library that is loaded already has read the environment.
        ("datasets, mel.tasks.records", "load_records('openai/gsm8k', config='main')"),
    ],
)
def test_a_hub_id_without_a_network_is_one_line_and_no_wait(loaded_before: str, call: str) -> None:
    code = (
        f"import time, {loaded_before}\n"
        "started = time.monotonic()\n"
        f"try:\n    {loaded_before.split()[-1]}.{call}\n"
        "except ValueError as error:\n    print(error)\n"
        "print(time.monotonic() - started)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "HF_HUB_OFFLINE"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "HF_ENDPOINT": NOWHERE, "HF_HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    message, seconds = done.stdout.strip().splitlines()
    assert "could not load" in message
    assert "a hub id that" in message
    # `datasets` alone waits 23 s; this takes 1 s where the machine is not busy.
    assert float(seconds) < 15.0
