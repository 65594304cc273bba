"""Meta-Experience Learning for RLVR: language models that learn from the step where a right and a wrong attempt part.

`MELTrainer` and `MELConfig` replace TRL's `GRPOTrainer` and `GRPOConfig`; they are imported on first use, so that
`import mel` costs milliseconds and no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mel.hosts.trl import MELConfig, MELTrainer

__version__ = "0.1.0"
__all__ = ["MELConfig", "MELTrainer", "__version__"]


def __getattr__(name: str) -> Any:
    if name in ("MELConfig", "MELTrainer"):
        from mel.hosts import trl

        return getattr(trl, name)
    raise AttributeError(f"module 'mel' has no attribute {name!r}")
