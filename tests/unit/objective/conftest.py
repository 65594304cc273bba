"""Shapes and dtypes of `mel.objective` are checked in tests: annotations become assertions at import."""

import sys

from jaxtyping import install_import_hook

if "mel.objective.rows" not in sys.modules:
    with install_import_hook("mel.objective", "beartype.beartype"):
        import mel.objective.distill
        import mel.objective.gradients
        import mel.objective.losses
        import mel.objective.rows
        import mel.objective.score
        import mel.objective.surrogates
        import mel.objective.weight  # noqa: F401
