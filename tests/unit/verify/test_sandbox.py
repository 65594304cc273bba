"""Every level that this machine offers, attacked: nothing gets out, everything ends, nothing stays."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import attacks
import pytest

from mel.verify import ProgramLimits, offers
from mel.verify.confinement import LEVELS
from mel.verify.sandbox import Program, Ran, Sandbox
from mel.verify.sandbox_levels import SandboxChoice, open_sandbox

LIMITS = ProgramLimits(cpu_s=1, output_kb=256)
FOR_WHAT_WAITS = ProgramLimits(timeout_s=1.0)
# As root under a directory of root's, one level has no interpreter that nobody may run.
PYTHON = os.environ.get("MEL_TEST_INTERPRETER")


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where sandboxes make their folders during one test, apart from those of tests that run beside it."""
    with tempfile.TemporaryDirectory(prefix="mel-test-") as folder:
        os.chmod(folder, 0o755)  # whoever a program becomes
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


@pytest.fixture(scope="module")
def offered() -> dict[str, str]:
    """Why each level is not offered; empty if it is."""
    return {offer.level: offer.fault for offer in offers(PYTHON)}


@pytest.fixture(scope="module", params=LEVELS)
def sandbox(request: pytest.FixtureRequest, offered: dict[str, str]) -> Sandbox:
    if offered[request.param]:
        pytest.skip(f"{request.param} is not offered here: {offered[request.param]}")
    return open_sandbox(SandboxChoice(request.param, PYTHON))


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    """A file, a folder, a process and a port that no program may reach."""
    folder = tmp_path_factory.mktemp("outside")
    secret = folder / "secret"
    secret.write_text("secret")
    (folder / "planted.py").write_text("")
    for path in (folder, *folder.parents):
        if os.access(path, os.W_OK) and path.stat().st_uid == os.getuid() and "pytest" in path.name:
            path.chmod(0o755)
    secret.chmod(0o666)
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as local:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        where = os.getcwd()
        os.chdir(folder)  # the path of a socket must be short
        local.bind("socket")
        os.chdir(where)
        local.listen()
        (folder / "socket").chmod(0o777)
        yield {"secret": str(secret), "folder": str(folder), "host": os.getpid(), "port": tcp.getsockname()[1]}


def ran(sandbox: Sandbox, source: str, limits: ProgramLimits = LIMITS) -> Ran:
    return sandbox.run(Program(source=attacks.QUIET + source, limits=limits))


@pytest.fixture(scope="module")
def attacked(sandbox: Sandbox, outside: dict[str, object]) -> dict[str, str]:
    """What every attack that fails at once printed, all of them in one run, each in spite of the ones before."""
    tried = {name: source.format(**outside) for name, source in attacks.ATTACKS.items()}
    source = (
        "import io, json\n"
        f"tried = {tried!r}\n"
        "found, real = {}, sys.stdout\n"
        "for name, source in tried.items():\n"
        "    sys.stdout = io.StringIO()\n"
        "    try: exec(source)\n"
        "    except (Exception, SystemExit) as error: print(type(error).__name__)\n"
        "    found[name] = sys.stdout.getvalue()\n"
        "real.write(json.dumps(found))"
    )
    end = sandbox.run(Program(source=attacks.QUIET + source, limits=ProgramLimits()))
    assert end.exit_code == 0, end
    return json.loads(end.stdout)


@pytest.mark.parametrize("name", attacks.ATTACKS)
def test_an_attack_gets_nothing(attacked: dict[str, str], name: str):
    assert "ESCAPED" not in attacked[name]


def test_what_lies_outside_is_as_it_was(attacked: dict[str, str], outside: dict[str, object]):
    secret = Path(str(outside["secret"]))
    assert (secret.read_text(), secret.stat().st_mode & 0o7777) == ("secret", 0o666)
    assert sorted(p.name for p in secret.parent.iterdir() if p.name != "__pycache__") == [
        "planted.py",
        "secret",
        "socket",
    ]


@pytest.mark.parametrize("name", [*attacks.HUNGRY, *attacks.WAITING])
def test_what_does_not_end_is_ended_and_leaves_nothing(sandbox: Sandbox, folders: Path, name: str):
    source, expected = attacks.HUNGRY.get(name) or (attacks.WAITING[name], "timeout")
    end = ran(sandbox, source, FOR_WHAT_WAITS if name in attacks.WAITING else LIMITS)
    assert end.end in expected.split(" or "), end
    assert b"ESCAPED" not in end.stdout
    assert not left_over(folders)


def left_over(folders: Path) -> list[str]:
    """Processes of a sandbox that are still there, and their folders."""
    listed = subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True, check=True).stdout
    lines = [line for line in listed.splitlines() if f"{folders}/mel-sandbox-" in line and "main.py" in line]
    return lines + [str(folder) for folder in folders.glob("mel-sandbox-*")]


def test_a_program_gets_its_input_and_its_output_comes_back_whole(sandbox: Sandbox):
    given = os.urandom(200_000)
    end = sandbox.run(Program(source="import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])", stdin=given))
    assert (end.end, end.exit_code, end.stdout) == ("exited", 0, given[::-1])


def test_threads_work_and_the_folder_is_its_own(sandbox: Sandbox):
    source = "import threading\nt = threading.Thread(target=print, args=(1,))\nt.start()\nt.join()\n"
    end = ran(sandbox, source + "open('f', 'w').write('2')\nprint(open('f').read(), sorted(os.listdir('.')))")
    assert end.stdout.decode() == "1\n2 ['f', 'main.py']\n", end


def test_the_probe_finds_every_way_out_where_there_is_no_sandbox(tmp_path: Path, outside: dict[str, object]):
    """A level is offered because the probe finds nothing: here it must find."""
    probe = Path(sys.modules["mel.verify"].__path__[0]) / "inside" / "probe.py"
    target = tmp_path / "secret"
    target.write_text("secret")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        told = {
            "secret": str(target),
            "socket": str(Path(str(outside["folder"])) / "socket"),
            "tcp": outside["port"],
            "udp": udp.getsockname()[1],
            "host": os.getpid(),
        }
        host = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        try:
            end = subprocess.run(
                [sys.executable, "-I", str(probe)],
                input=json.dumps({**told, "host": host.pid}),
                capture_output=True,
                text=True,
                check=True,
                cwd=tmp_path,
            )
        finally:
            host.kill()
            host.wait()
    found = set(end.stdout.split())
    assert {"read_outside", "read_passwd", "read_by_link", "write_outside", "create_outside", "done"} <= found
    assert {"tcp", "datagram", "signal_host", "limit_of_host", "priority_of_host"} <= found


def test_a_run_whose_worker_is_killed_ends_and_leaves_nothing(sandbox: Sandbox, folders: Path):
    worker = os.fork()
    if not worker:
        sandbox.run(Program(source="import time\ntime.sleep(1000)", limits=ProgramLimits(timeout_s=500.0)))
        os._exit(0)
    until = time.monotonic() + 20.0
    while not any("main.py" in found for found in left_over(folders)) and time.monotonic() < until:
        time.sleep(0.05)
    assert any("main.py" in found for found in left_over(folders))
    os.kill(worker, 9)
    os.waitpid(worker, 0)
    while left_over(folders) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left_over(folders)
