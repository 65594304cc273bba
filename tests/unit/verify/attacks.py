# ruff: noqa: E501
"""Programs that try to get out of a sandbox; each prints ESCAPED if it got anything that it must not have.

`{secret}`, `{folder}`, `{host}` and `{port}` are a file, its folder, a process and a TCP port outside.
"""

QUIET = "import os, sys, ctypes, socket, signal, time\n"

ATTACKS = {
    "reads the password file": "print('ESCAPED', open('/etc/passwd').read()[:9])",
    "reads a file outside": "print('ESCAPED', open({secret!r}).read())",
    "reads the environment of its parent": "print('ESCAPED', open(f'/proc/{{os.getppid()}}/environ').read())",
    "reads the memory of the host": "print('ESCAPED', open('/proc/{host}/mem', 'rb').read(1))",
    "reads by a link of its own": "os.symlink({secret!r}, 'l'); print('ESCAPED', open('l').read())",
    "reads by the root of another process": "print('ESCAPED', os.listdir('/proc/{host}/root'))",
    "reads by the folder of another process": "print('ESCAPED', os.listdir('/proc/{host}/cwd'))",
    "climbs up from its folder": "print('ESCAPED', open('../' * 9 + {secret!r}.lstrip('/')).read())",
    "writes outside": "open({secret!r}, 'a').write('x'); print('ESCAPED')",
    "makes a file outside": "open({folder!r} + '/new', 'w').close(); print('ESCAPED')",
    "empties a file outside": "os.truncate({secret!r}, 0); print('ESCAPED')",
    "removes a file outside": "os.unlink({secret!r}); print('ESCAPED')",
    "moves a file outside": "os.rename({secret!r}, 'mine'); print('ESCAPED')",
    "links a file outside into its folder": "os.link({secret!r}, 'mine'); print('ESCAPED', open('mine').read())",
    "changes a mode outside": "os.chmod({secret!r}, 0o777); print('ESCAPED')",
    "changes an owner outside": "os.chown({secret!r}, os.getuid(), os.getgid()); print('ESCAPED')",
    "changes the times outside": "os.utime({secret!r}, (1, 1)); print('ESCAPED')",
    "sets an attribute outside": "os.setxattr({secret!r}, 'user.x', b'1'); print('ESCAPED')",
    "makes a setuid file outside": "open({folder!r} + '/s', 'w').close(); os.chmod({folder!r} + '/s', 0o4777); print('ESCAPED')",
    "makes a device": "os.mknod('d', 0o20666, os.makedev(1, 1)); print('ESCAPED', open('d', 'rb').read(1))",
    "connects to the machine": "socket.create_connection(('127.0.0.1', {port}), 1); print('ESCAPED')",
    "connects to the world": "socket.create_connection(('1.1.1.1', 53), 1); print('ESCAPED')",
    "asks for a name": "print('ESCAPED', socket.gethostbyname('example.org'))",
    "connects to a socket file": "socket.socket(socket.AF_UNIX).connect({folder!r} + '/socket'); print('ESCAPED')",
    "signals the host": "os.kill({host}, 0); print('ESCAPED')",
    "kills its parent's group": "os.killpg(os.getpgid({host}), signal.SIGTERM); print('ESCAPED')",
    "traces the host": "print('ESCAPED') if ctypes.CDLL(None).ptrace(16, {host}, 0, 0) == 0 else None",
    "slows the host down": "os.setpriority(os.PRIO_PROCESS, {host}, 19); print('ESCAPED')",
    "binds the host to a core": "os.sched_setaffinity({host}, [0]); print('ESCAPED')",
    "lowers the limits of the host": "import resource; resource.prlimit({host}, resource.RLIMIT_CPU, (1, 1)); print('ESCAPED')",
    "raises its own limits": "import resource; resource.setrlimit(resource.RLIMIT_CPU, (10**6, 10**6)); print('ESCAPED')",
    "becomes another user": "os.setuid(1); print('ESCAPED')",
    "mounts": "print('ESCAPED') if ctypes.CDLL(None).mount(b'none', b'.', b'tmpfs', 0, 0) == 0 else None",
    "enters another namespace": "fd = os.open('/proc/{host}/ns/mnt', 0); print('ESCAPED') if ctypes.CDLL(None).setns(fd, 0) == 0 else None",
    "imports a planted module": "sys.path.insert(0, {folder!r}); import planted; print('ESCAPED')",
    "finds something in its environment": "print('ESCAPED') if set(os.environ) - {{'LC_CTYPE', 'PWD'}} else None",
    "finds an open file": "print('ESCAPED') if [f for f in range(3, 64) if ctypes.CDLL(None).fcntl(f, 1) >= 0 and os.fstat(f).st_mode & 0o170000 not in (0o010000,)] else None",
}
"""What fails at once."""

HUNGRY = {
    "loops for ever": ("while True: pass", "timeout"),
    "forks for ever": ("while True:\n    try: os.fork()\n    except OSError: pass", "timeout or exited"),
    "starts threads for ever": (
        "import threading\nwhile True:\n    try: threading.Thread(target=time.sleep, args=(1000,)).start()\n"
        "    except RuntimeError: pass",
        "timeout or exited",
    ),
    "takes ten gigabytes": ("print('ESCAPED', len(bytearray(10**10)))", "exited"),
    "writes a gigabyte": ("for _ in range(1024): sys.stdout.write('x' * 2**20)", "output"),
    "writes a gigabyte to a file": (
        "f = open('f', 'wb')\nfor _ in range(1024): f.write(bytes(2**20))\nprint('ESCAPED')",
        "exited",
    ),
    "leaves a process that has left its session": (
        "pid = os.fork()\nif pid == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep(1000)\n    os._exit(0)",
        "exited",
    ),
}
"""What takes more than it may: the program, and how its run ends."""

WAITING = {
    "sleeps for ever": "time.sleep(1000)",
    "ignores every signal": "for s in range(1, 32):\n    try: signal.signal(s, signal.SIG_IGN)\n"
    "    except (OSError, ValueError): pass\ntime.sleep(1000)",
}
"""What uses no processor time and is ended by the clock."""
