"""Auxiliaries: what else is learned beside the policy loss. One file or folder each, and one line in this table."""

from __future__ import annotations

from mel.methods.auxiliaries.dynamic_sampling import DynamicSamplingSettings
from mel.methods.auxiliaries.meta_experience import MetaExperienceSettings
from mel.methods.declaration import AuxiliarySettings

AUXILIARIES: dict[str, type[AuxiliarySettings]] = {
    "dynamic_sampling": DynamicSamplingSettings,
    "meta_experience": MetaExperienceSettings,
}
