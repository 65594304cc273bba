"""How a model is spread over processes, read from an accelerate configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from mel.naming import did_you_mean
from mel.recipe_files import recipes_directory

Strategy = Literal["single", "ddp", "zero1", "zero2", "zero3", "fsdp2"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How weights, gradients and optimizer states are distributed over processes.

    Args:
        processes: training processes, one GPU each; an engine that serves apart needs its own GPUs.
        offloads_optimizer: optimizer states and master weights lie in the host's memory.
        offloads_parameters: parameters too (ZeRO-3, FSDP2).
        frees_after_forward: FSDP2 frees a layer's gathered parameters after its forward pass.
        source: what a person should read as its name.
    """

    strategy: Strategy
    processes: int
    nodes: int = 1
    offloads_optimizer: bool = False
    offloads_parameters: bool = False
    frees_after_forward: bool = True
    source: str = "assumed"

    @property
    def is_deepspeed(self) -> bool:
        return self.strategy.startswith("zero")

    @property
    def shards_parameters(self) -> bool:
        """Each process holds its share of the parameters only."""
        return self.strategy in ("zero3", "fsdp2")

    @property
    def shards_gradients(self) -> bool:
        """Each process keeps its share of the gradients only."""
        return self.strategy in ("zero2", "zero3", "fsdp2")


def assumed_layout(processes: int, *, nodes: int = 1) -> Layout:
    """What a plan assumes if no configuration is given: one process as it is, several sharded by FSDP2."""
    if processes == 1:
        return Layout(strategy="single", processes=1, source="one process")
    return Layout(strategy="fsdp2", processes=processes, nodes=nodes, source=f"assumed: FSDP2 over {processes} GPUs")


def load_layout(name_or_path: str) -> Layout:
    """The layout of an accelerate configuration: a file, or the name of one that comes with this package.

    Raises:
        ValueError: no such file, or a kind of distribution that no host of this package supports.
    """
    shipped = {p.stem: p for p in sorted((recipes_directory() / "accelerate").glob("*.yaml"))}
    path = Path(name_or_path)
    if not path.is_file():
        if name_or_path not in shipped:
            raise ValueError(
                f"accelerate configuration: expected a YAML file or one of {', '.join(shipped)}; got {name_or_path!r}"
                f"{did_you_mean(name_or_path, shipped)}"
            )
        path = shipped[name_or_path]
    table = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(table, dict):
        raise ValueError(f"{path}: expected an accelerate configuration (a mapping), got {type(table).__name__}")
    return parse_layout(table, source=path.name)


def parse_layout(table: Mapping[str, Any], *, source: str) -> Layout:
    """The layout that those values describe.

    Raises:
        ValueError: FSDP 1, a DeepSpeed file apart, or another kind of distribution.
    """
    kind = str(table.get("distributed_type", "NO")).upper()
    processes, nodes = int(table.get("num_processes", 1)), int(table.get("num_machines", 1))
    if kind == "NO":
        return Layout(strategy="single", processes=1, source=source)
    if kind == "MULTI_GPU":
        return Layout(strategy="ddp", processes=processes, nodes=nodes, source=source)
    if kind == "DEEPSPEED":
        return _deepspeed(table.get("deepspeed_config") or {}, processes, nodes, source)
    if kind == "FSDP":
        return _fsdp(table.get("fsdp_config") or {}, processes, nodes, source)
    raise ValueError(f"{source}: distributed_type: expected NO, MULTI_GPU, DEEPSPEED or FSDP; got {kind!r}")


def _deepspeed(values: Mapping[str, Any], processes: int, nodes: int, source: str) -> Layout:
    if "deepspeed_config_file" in values:
        raise ValueError(
            f"{source}: a plan reads zero_stage and the offload devices from the accelerate file itself; "
            "put them there instead of in deepspeed_config_file"
        )
    strategies: dict[int, Strategy] = {0: "ddp", 1: "zero1", 2: "zero2", 3: "zero3"}
    stage = int(values.get("zero_stage", 2))
    if stage not in strategies:
        raise ValueError(f"{source}: deepspeed_config.zero_stage: expected 0 to 3, got {stage}")
    return Layout(
        strategy=strategies[stage],
        processes=processes,
        nodes=nodes,
        offloads_optimizer=_is_set(values.get("offload_optimizer_device")),
        offloads_parameters=stage == 3 and _is_set(values.get("offload_param_device")),
        source=source,
    )


def _fsdp(values: Mapping[str, Any], processes: int, nodes: int, source: str) -> Layout:
    version = int(values.get("fsdp_version", 1))
    if version != 2:
        raise ValueError(
            f"{source}: fsdp_config.fsdp_version: expected 2, got {version}; FSDP 1 does not run two forward passes "
            "before a backward pass reliably"
        )
    offloads = bool(values.get("fsdp_offload_params", False))
    return Layout(
        strategy="fsdp2",
        processes=processes,
        nodes=nodes,
        offloads_optimizer=offloads,
        offloads_parameters=offloads,
        frees_after_forward=bool(values.get("fsdp_reshard_after_forward", True)),
        source=source,
    )


def _is_set(device: Any) -> bool:
    return str(device).lower() not in ("none", "false")
