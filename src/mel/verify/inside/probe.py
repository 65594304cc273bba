"""Runs inside a sandbox and tries to get out; prints a word for each way that is open, and `done` at the end.

Standard input says what lies outside: a file, a socket, a port, and the process that asks.
"""

import ctypes
import json
import os
import signal
import socket
import sys

OUTSIDE = json.loads(sys.stdin.read())
SECRET, SOCKET, TCP, UDP, HOST = (OUTSIDE[name] for name in ("secret", "socket", "tcp", "udp", "host"))

_PTRACE_ATTACH, _PR_SET_PDEATHSIG = 16, 1
_PRLIMIT64, _PTRACE, _SETPRIORITY = {"x86_64": (302, 101, 141), "aarch64": (261, 117, 140)}.get(
    os.uname().machine, (None, None, None)
)
_libc = ctypes.CDLL(None, use_errno=True)


def call(number, *arguments):
    """A system call; an OSError if it fails or if its number is not known on this architecture."""
    if number is None or _libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")


def lower_limit_of_host():
    """Take open files from the process that asks."""
    limits = (ctypes.c_uint64 * 2)(1000, 1000)
    call(_PRLIMIT64, HOST, 7, ctypes.byref(limits), None)


def connect(family, kind, address):
    """Reach an address, and send something where connecting sends nothing."""
    with socket.socket(family, kind) as made:
        made.settimeout(1.0)
        made.connect(address)
        if kind == socket.SOCK_DGRAM:
            made.send(b"x")


def read_by_link():
    """Read what lies outside by a link within."""
    os.symlink(SECRET, "link")
    try:
        with open("link") as file:
            file.read()
    finally:
        os.unlink("link")


def read(path):
    """One byte of a file."""
    with open(path, "rb") as file:
        return file.read(1)


def raise_own_limit():
    """More processor time than the limit."""
    limits = (ctypes.c_uint64 * 2)(10**6, 10**6)
    call(_PRLIMIT64, 0, 0, ctypes.byref(limits), None)


WAYS = {
    "read_outside": lambda: read(SECRET),
    "read_passwd": lambda: read("/etc/passwd"),
    "read_by_link": read_by_link,
    "read_environment": lambda: read(f"/proc/{os.getppid()}/environ"),
    "write_outside": lambda: open(SECRET, "a").close(),
    "create_outside": lambda: open(SECRET + "2", "w").close(),
    "change_mode": lambda: os.chmod(SECRET, 0o600),
    "change_times": lambda: os.utime(SECRET, (1, 1)),
    "tcp": lambda: connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", TCP)),
    "datagram": lambda: connect(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", UDP)),
    "unix_socket": lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, SOCKET),
    "signal_host": lambda: os.kill(HOST, 0),
    "limit_of_host": lower_limit_of_host,
    "own_limit": raise_own_limit,
    "priority_of_host": lambda: call(_SETPRIORITY, 0, HOST, 19),
    "remove_outside": lambda: os.unlink(SECRET),
    "trace_host": lambda: call(_PTRACE, _PTRACE_ATTACH, HOST, 0, 0),
}

_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
for name, way in WAYS.items():
    try:
        way()
        print(name)
    except (OSError, ValueError):
        pass
print("done")
