"""Auxiliaries: what else is learned beside the policy loss. One file or folder each, and one line in this table."""

from __future__ import annotations

from mel.methods.auxiliaries.critique_refine import CritiqueRefineSettings
from mel.methods.auxiliaries.dynamic_sampling import DynamicSamplingSettings
from mel.methods.auxiliaries.extra_rollouts import ExtraRolloutsSettings
from mel.methods.auxiliaries.insert_correction import InsertCorrectionSettings
from mel.methods.auxiliaries.meta_experience import MetaExperienceSettings
from mel.methods.auxiliaries.scaffold import ScaffoldSettings
from mel.methods.auxiliaries.self_distill import SelfDistillSettings
from mel.methods.auxiliaries.step_hint import StepHintSettings
from mel.methods.auxiliaries.suffix_reset import SuffixResetSettings
from mel.methods.declaration import AuxiliarySettings

AUXILIARIES: dict[str, type[AuxiliarySettings]] = {
    "dynamic_sampling": DynamicSamplingSettings,
    "meta_experience": MetaExperienceSettings,
    "extra_rollouts": ExtraRolloutsSettings,
    "step_hint": StepHintSettings,
    "self_distill": SelfDistillSettings,
    "suffix_reset": SuffixResetSettings,
    "scaffold": ScaffoldSettings,
    "critique_refine": CritiqueRefineSettings,
    "insert_correction": InsertCorrectionSettings,
}
