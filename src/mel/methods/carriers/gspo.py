"""GSPO (arXiv 2507.18071): GRPO's advantages, one importance ratio per sequence instead of per token."""

from __future__ import annotations

from mel.methods.carriers.grpo import Grpo


class Gspo(Grpo):
    """A as GRPO; ratio = exp(mean over tokens of the log-ratio), clipped as a whole."""

    name = "gspo"
    surrogate = "gspo"
