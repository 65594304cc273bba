"""A language model small enough to train in minutes on a CPU, and the warm-up that makes it.

What comes out is an ordinary model directory; nothing outside this package and its task knows that it is one.
`policies` finds the shipped ones without importing torch; `build` makes new ones; `probe` measures one.
"""

from __future__ import annotations

from typing import Literal

SizeName = Literal["s", "m", "l"]
"""Of a policy, from the smallest."""
