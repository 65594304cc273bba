"""Pure functions over tensors: rows, their loss, gradient arithmetic, the weight of the auxiliary.

Axes in names: R rows, L all tokens of a padded row, T its target tokens, V vocabulary.
"""
