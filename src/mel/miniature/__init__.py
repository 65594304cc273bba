"""A language model small enough to train in minutes on a CPU, and the warm-up that makes it.

What comes out is an ordinary model directory; nothing outside this package and its task knows that it is one.
`policies` finds the shipped ones without importing torch; `build` makes new ones; `probe` measures one.
"""
