"""Pure functions over tensors: rows and scores in batches, the loss of each term, gradient arithmetic, lambda.

Axes in names: R rows, L all tokens of a padded row, T its target tokens, V vocabulary.
"""
