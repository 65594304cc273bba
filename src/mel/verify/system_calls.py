"""The system calls that a confined program is refused beside what its level forbids, by the library libseccomp.

Landlock knows files, TCP, signals and sockets of the machine. It lets a program change the mode or owner of a file
that it cannot open, lower the limits or the priority of another process, and send datagrams.
"""

from __future__ import annotations

import errno
import os
import tempfile

BY_NAME = (
    # modes, owners, times and attributes of files, which Landlock does not cover
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat"),
    *("utime", "utimes", "utimensat", "futimesat", "setxattr", "lsetxattr", "fsetxattr"),
    *("removexattr", "lremovexattr", "fremovexattr", "setxattrat", "removexattrat", "file_setattr"),
    *("mknod", "mknodat", "chroot"),
    # limits, priorities and memory of other processes
    *("prlimit64", "setrlimit", "setpriority", "ioprio_set", "sched_setaffinity", "sched_setscheduler"),
    *("sched_setparam", "sched_setattr", "pidfd_open", "pidfd_send_signal", "pidfd_getfd", "kcmp"),
    *("process_madvise", "migrate_pages", "move_pages"),
)
"""Names under which every level refuses them."""

_FURTHER = (
    # what sandlock refuses or answers for by itself, and the other levels do not
    *("socket", "socketpair", "connect", "bind", "listen", "sendto", "sendmsg"),
    *("fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev", "mount", "umount2", "pivot_root"),
    *("unshare", "setns", "bpf", "perf_event_open", "keyctl", "add_key", "request_key", "userfaultfd"),
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "init_module", "finit_module", "delete_module"),
    *("kexec_load", "reboot", "swapon", "swapoff", "acct", "quotactl", "nfsservctl", "personality"),
    *("open_by_handle_at", "name_to_handle_at", "sethostname", "setdomainname", "settimeofday", "clock_settime"),
    *("clock_adjtime", "adjtimex", "syslog", "iopl", "ioperm", "mq_open", "mq_unlink", "memfd_create"),
    *("shmget", "shmat", "shmctl", "msgget", "msgsnd", "semget", "semctl", "semop", "lookup_dcookie", "vhangup"),
)
_KNOWN_SINCE_424 = frozenset((436, 437, 439, 441, 444, 445, 446, 449, 451, 453, 454, 455, 456, 462))
"""Of the calls from 424 on, whose numbers are the same on all architectures, those that do no harm: close_range, openat2,
faccessat2, epoll_pwait2, Landlock's own, futexes, cachestat, map_shadow_stack and mseal."""
_LAST = 600
_CLONE_THREAD = 0x10000


def load() -> None:
    """Refuse them from now on, in this process and all that come from it; new threads are allowed, processes are not."""
    _filter().load()


def bpf_file() -> int:
    """The same filter as an open file, for a program that loads it itself; whoever asked closes it."""
    file = os.open(tempfile.gettempdir(), os.O_TMPFILE | os.O_RDWR, 0o600)
    with os.fdopen(os.dup(file), "wb") as kept:
        _filter().export_bpf(kept)
    os.lseek(file, 0, os.SEEK_SET)
    os.set_inheritable(file, True)
    return file


def _filter():
    import pyseccomp

    found = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    refused = pyseccomp.ERRNO(errno.EPERM)
    for name in (*BY_NAME, *_FURTHER):
        number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
        if 0 <= number < 424:
            found.add_rule(refused, name)
    # Without clone3, whose flags a filter cannot see, the C library falls back to clone.
    for number in range(424, _LAST):
        if number not in _KNOWN_SINCE_424:
            found.add_rule(pyseccomp.ERRNO(errno.ENOSYS), number)
    found.add_rule(refused, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _CLONE_THREAD, 0))
    return found
