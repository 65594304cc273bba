"""What a recipe may say to TRL and peft is known without them; here it is compared with those that are installed."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, get_args, get_type_hints

import pytest
from peft import LoraConfig
from pydantic import TypeAdapter
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from mel.hosts.lora_fields import LoraFields
from mel.hosts.trl.config import MELConfig
from mel.hosts.trl_fields import Tracker, TRLFields

OURS = get_type_hints(TRLFields, include_extras=True)
LORA = get_type_hints(LoraFields, include_extras=True)
THEIRS = {f.name: f for f in dataclasses.fields(MELConfig) if f.init}
HINTS = get_type_hints(MELConfig)
PROBES: tuple[Any, ...] = (None, True, 3, 0.5, "x", ["x"], [3], {"x": True}, {"x": 3})


def takes(kind: Any, value: object) -> bool:
    try:
        TypeAdapter(kind).validate_python(value, strict=True)
    except ValueError:
        return False
    return True


def test_the_names_are_those_of_the_installed_trl() -> None:
    of_method = {name for name in THEIRS if name.startswith("mel_") and not name.startswith("mel_engine_")}
    assert set(OURS) == set(THEIRS) - of_method


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_field_takes_nothing_that_the_installed_trl_would_not(name: str) -> None:
    if name == "scale_rewards":  # declared as text; GRPOConfig turns true and false into it
        return
    wide = [value for value in PROBES if takes(OURS[name], value) and not takes(HINTS[name], value)]
    assert wide == []


@pytest.mark.parametrize("name", sorted(set(OURS) - {"output_dir"}))
def test_a_field_takes_its_default_in_the_installed_trl(name: str) -> None:
    default = THEIRS[name].default
    if default is dataclasses.MISSING:
        default = THEIRS[name].default_factory()
    value = default.value if isinstance(default, enum.Enum) else default
    assert takes(OURS[name], value)


@pytest.mark.parametrize("name", ["optim", "lr_scheduler_type", "hub_strategy", "logging_strategy"])
def test_the_choices_of_a_field_are_those_of_its_enumeration(name: str) -> None:
    (kind,) = [k for k in get_args(HINTS[name]) if isinstance(k, type) and issubclass(k, enum.Enum)]
    assert set(get_args(OURS[name])) == {member.value for member in kind}


def test_the_trackers_are_those_of_the_installed_transformers() -> None:
    assert set(get_args(Tracker)) == {"none", "all", *INTEGRATION_TO_CALLBACK}


def test_the_lora_fields_are_of_the_installed_peft_and_no_wider() -> None:
    theirs = get_type_hints(LoraConfig)
    assert set(LORA) <= set(theirs)
    wide = [(n, v) for n, kind in LORA.items() for v in PROBES if takes(kind, v) and not takes(theirs[n], v)]
    # peft names a number in this choice (`pissa_niter_4`), so that here any text is one.
    assert wide == [("init_lora_weights", "x")]
