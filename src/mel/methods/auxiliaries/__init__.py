"""Auxiliaries: what else is learned beside the policy loss. One per file; `settings` and class in the table."""

from __future__ import annotations

from mel.methods.auxiliaries.meta_experience import MetaExperienceLearning
from mel.methods.auxiliaries.settings import MetaExperienceSettings

AUXILIARIES = {"meta_experience": (MetaExperienceSettings, MetaExperienceLearning)}
