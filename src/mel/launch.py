"""What a launcher (torchrun, accelerate) tells the processes that it starts."""

from __future__ import annotations

import ctypes
import os
import signal
import sys


def num_processes() -> int:
    """How many processes a launcher started; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this is the process that writes, prints and evaluates."""
    return int(os.environ.get("RANK", "0")) == 0


def shards_weights() -> bool:
    """Whether no process holds the whole policy: FSDP, or ZeRO-3."""
    is_zero3 = _says("ACCELERATE_USE_DEEPSPEED") and os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE") == "3"
    return num_processes() > 1 and (_says("ACCELERATE_USE_FSDP") or is_zero3)


def shards_states() -> bool:
    """Whether some of what training holds lies in shards or in the host's memory: FSDP, or DeepSpeed at any stage."""
    return _says("ACCELERATE_USE_FSDP") or _says("ACCELERATE_USE_DEEPSPEED")


def _says(name: str) -> bool:
    return os.environ.get(name, "").lower() == "true"


_PARENT = "MEL_PARENT"


def bound_to_this_process() -> dict[str, str]:
    """Environment of a `mel` command that is to end with the process that starts it, however that ends."""
    return {_PARENT: str(os.getpid())}


def end_with_parent() -> None:
    """Have the kernel kill this process when the one that asked for it ends, even by SIGKILL (Linux).

    Without it, the runs of a study that was killed would go on beside those of the next one, and hold their locks.
    """
    parent = os.environ.pop(_PARENT, None)
    if parent is None or sys.platform != "linux":
        return
    signal_when_parent_ends(signal.SIGKILL)
    if os.getppid() != int(parent):
        # It ended before the kernel was asked.
        sys.exit(128 + signal.SIGKILL)


def signal_when_parent_ends(number: signal.Signals) -> None:
    """Have the kernel send this process that signal when its parent ends, however that ends (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, number, 0, 0, 0)  # 1 is PR_SET_PDEATHSIG
