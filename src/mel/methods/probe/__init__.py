"""The probe: before training, are notes causal for this policy, and can meta-experience learning help it?

A coroutine like a method, over the same functions: solve, pair, write a note, find the wrong step, attempt again with
and without notes. Whoever has a generator and a verifier runs it, and nothing is trained.
"""

from mel.methods.probe.probe import Probed, probe
from mel.methods.probe.scores import Score, Scores, effects, intervals
from mel.methods.probe.setting import ProbeSetting, setting_of
from mel.methods.probe.verdict import Conclusion, conclusion

__all__ = [
    "Conclusion",
    "ProbeSetting",
    "Probed",
    "Score",
    "Scores",
    "conclusion",
    "effects",
    "intervals",
    "probe",
    "setting_of",
]
