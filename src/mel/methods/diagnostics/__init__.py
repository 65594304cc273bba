"""Diagnostics: what a run measures of itself beside its training, and never learns from.

A measure is a coroutine that yields requests as a method does, so that hosts serve it with what they have. It comes
after everything that a method asks of a generation batch, so that the method's random stream is what it was without.
"""

from mel.methods.diagnostics.diagnosis import Diagnosis
from mel.methods.diagnostics.settings import MEASURES, WHOLE_COPY, DiagnosticsSettings

__all__ = ["MEASURES", "WHOLE_COPY", "Diagnosis", "DiagnosticsSettings"]
