"""What `model.lora` of a recipe may hold, known without importing peft.

The names are those of `peft.LoraConfig`; a type is LoraConfig's or narrower. Of its fields those are missing that take
an object of peft, which no recipe can write, and those that describe an adapter which is loaded. A test compares all of
it with the peft that is installed.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field


class LoraFields:
    """Name -> type, in the order of `LoraConfig`."""

    task_type: Literal["CAUSAL_LM"]
    r: Annotated[int, Field(ge=1)]
    target_modules: str | list[str] | None
    exclude_modules: str | list[str] | None
    lora_alpha: Annotated[int, Field(ge=1)]
    lora_dropout: Annotated[float, Field(ge=0, lt=1)]
    fan_in_fan_out: bool
    bias: Literal["none", "all", "lora_only"]
    use_rslora: bool
    modules_to_save: list[str] | None
    init_lora_weights: bool | str
    layers_to_transform: list[int] | int | None
    layers_pattern: list[str] | str | None
    rank_pattern: dict[str, Annotated[int, Field(ge=1)]]
    alpha_pattern: dict[str, Annotated[int, Field(ge=1)]]
    megatron_config: dict | None
    megatron_core: str | None
    trainable_token_indices: list[int] | dict[str, list[int]] | None
    loftq_config: dict
    use_dora: bool
    velora_config: dict | None
    alora_invocation_tokens: list[int] | None
    use_qalora: bool
    qalora_group_size: Annotated[int, Field(ge=1)]
    layer_replication: list[tuple[int, int]] | None
    lora_bias: bool
    target_parameters: list[str] | None
    ensure_weight_tying: bool
