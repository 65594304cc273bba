"""`mel browse` as a server: who is answered, who is refused, and how it ends."""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from mel.record import ExperienceStore
from mel.report.browse.server import BrowseServer

Make = Callable[..., Path]


@pytest.fixture(scope="module")
def run(written: Callable[..., Path]) -> Path:
    return written("recommended", seed=0, steps=8, gain=0.4, mel=True, state="finished")


@pytest.fixture(scope="module")
def server(run: Path) -> Iterator[BrowseServer]:
    with BrowseServer(run, port=0) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


def ask(server: BrowseServer, path: str, headers: Mapping[str, str] | None = None, method: str = "GET"):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.request(method, path, headers=dict(headers or {}))
    answer = connection.getresponse()
    found = answer.status, answer.headers, answer.read().decode()
    connection.close()
    return found


def test_it_listens_on_this_machine_alone(server: BrowseServer) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_the_page_may_run_its_own_script_and_ask_its_own_server(server: BrowseServer) -> None:
    status, headers, page = ask(server, "/")
    assert (status, page.count("<script")) == (200, 2)
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "connect-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")


def test_titles_tell_runs_apart_by_study_cell_recipe_and_seed(run: Path, tmp_path: Path) -> None:
    titles: list[str] = []
    for place in (
        "runs/recommended-s0",
        "runs/studies/weight/mel-lambda_0.1-s0",
        "runs/studies/share/mel-lambda_0.1-s0",
    ):
        shutil.copytree(run, tmp_path / place)
        with BrowseServer(tmp_path / place, port=0) as server:
            titles += re.findall("<title>(.*)</title>", server.page)
    assert titles == [
        "recommended, seed 0 · runs · mel browse",
        "mel-lambda_0.1-s0 · recommended, seed 0 · weight · mel browse",
        "mel-lambda_0.1-s0 · recommended, seed 0 · share · mel browse",
    ]


def test_answers_hold_matches_page_by_page_and_one_experience_as_a_whole(server: BrowseServer, run: Path) -> None:
    with ExperienceStore.open(run / "experiences.db") as store:
        kept = store.list(kept=True, limit=-1, newest_first=True).items
    status, _, text = ask(server, "/api/experiences?verdict=kept&limit=3&offset=2")
    found = json.loads(text)
    assert (status, found["total"]) == (200, len(kept))
    assert [item["id"] for item in found["items"]] == sorted((e.id for e in kept), reverse=True)[2:5]
    one = json.loads(ask(server, f"/api/experience?id={kept[0].id}")[2])
    assert (one["wrong"], one["heuristic"], one["num_attempts"]) == (
        kept[0].wrong, kept[0].heuristic, len(kept[0].attempts),
    )  # fmt: skip


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},  # a name of another site that leads here: DNS rebinding
        {"Host": "127.0.0.1"},  # without the port
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_site_is_refused(server: BrowseServer, headers: Mapping[str, str]) -> None:
    status, _, text = ask(server, "/api/experiences", headers)
    assert status == 403
    assert text.startswith("refused: ")


def test_its_own_page_is_answered_under_both_of_its_names(server: BrowseServer) -> None:
    for name in ("127.0.0.1", "localhost"):
        own = f"{name}:{server.server_port}"
        headers = {"Host": own, "Origin": f"http://{own}", "Sec-Fetch-Site": "same-origin"}
        assert ask(server, "/api/experiences?limit=1", headers)[0] == 200


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/api/experience?id=x", 400, "id: expected a whole number, got 'x'"),
        ("/api/experience?id=999999", 400, "holds no experience 999999"),
        ("/api/experiences?step=99999999999999999999", 400, "step: expected a whole number"),
        ("/api/experiences?offset=-1", 400, "offset: expected a whole number"),
        ("/../../etc/passwd", 404, "expected /, /api/experiences or /api/experience"),
    ],
)
def test_what_it_does_not_know_is_said_in_a_line(server: BrowseServer, path: str, status: int, said: str) -> None:
    found, headers, text = ask(server, path)
    assert (found, headers["Content-Type"]) == (status, "text/plain; charset=utf-8")
    assert said in text
    assert text.count("\n") == 1


def test_nothing_can_be_written(server: BrowseServer) -> None:
    assert ask(server, "/api/experiences", method="POST")[0] == 501


def test_a_port_in_use_is_one_line_and_ctrl_c_ends_well(run: Path) -> None:
    command = [sys.executable, "-m", "mel", "browse", str(run), "--port"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    # A test run in the background of a shell ignores Ctrl-C, and its children would too.
    hears = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with (
        subprocess.Popen(
            [*command, "0"], stdout=subprocess.PIPE, text=True, env=environment, preexec_fn=hears
        ) as running,
        ExitStack() as end,
    ):
        end.callback(running.kill)
        assert running.stdout
        line = running.stdout.readline()
        port = line.split("http://127.0.0.1:")[1].split("/")[0]
        second = subprocess.run([*command, port], capture_output=True, text=True, check=False, timeout=60)
        assert (second.returncode, second.stdout) == (2, "")
        assert f"--port: expected a free port of 127.0.0.1, got {port}" in second.stderr
        assert second.stderr.count("\n") == 1
        running.send_signal(signal.SIGINT)
        assert running.communicate(timeout=30)[0] == "ended\n"
    assert running.returncode == 0
