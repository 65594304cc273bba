"""Meta-Experience Learning (MEL, arXiv 2602.10224) as an auxiliary: settings, costs, construction, ledger, learner."""

from mel.methods.auxiliaries.meta_experience.learner import MetaExperienceLearning
from mel.methods.auxiliaries.meta_experience.settings import PAPER, MetaExperienceSettings

__all__ = ["PAPER", "MetaExperienceLearning", "MetaExperienceSettings"]
