"""Layouts are read from accelerate's own files, and those we ship are files that accelerate takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file

from mel.plan import load_layout, parse_layout
from mel.recipe_files import recipes_directory

SHIPPED = sorted((recipes_directory() / "accelerate").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_accelerate_takes_every_shipped_file_and_sees_what_the_plan_sees(path: Path) -> None:
    config = load_config_from_file(str(path))
    layout = load_layout(path.stem)
    assert isinstance(config, ClusterConfig)
    assert (config.num_processes, config.num_machines) == (layout.processes, layout.nodes)
    assert config.mixed_precision == "bf16"
    assert path.read_text().startswith("# Hardware:")


@pytest.mark.parametrize(
    ("name", "strategy", "processes", "nodes"),
    [
        ("one_gpu", "single", 1, 1),
        ("zero2_8gpu", "zero2", 8, 1),
        ("zero3_4gpu", "zero3", 4, 1),
        ("fsdp2_4gpu", "fsdp2", 4, 1),
        ("fsdp2_8gpu", "fsdp2", 8, 1),
        ("fsdp2_2nodes", "fsdp2", 16, 2),
    ],
)
def test_each_shipped_file_is_the_layout_its_name_says(name: str, strategy: str, processes: int, nodes: int) -> None:
    layout = load_layout(name)
    assert (layout.strategy, layout.processes, layout.nodes) == (strategy, processes, nodes)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"distributed_type": "FSDP", "fsdp_config": {"fsdp_version": 1}}, "fsdp_version: expected 2, got 1"),
        ({"distributed_type": "FSDP"}, "fsdp_version: expected 2, got 1"),
        (
            {"distributed_type": "DEEPSPEED", "deepspeed_config": {"zero_stage": 4}},
            "zero_stage: expected 0 to 3, got 4",
        ),
        (
            {"distributed_type": "DEEPSPEED", "deepspeed_config": {"deepspeed_config_file": "ds.json"}},
            "put them there instead of in deepspeed_config_file",
        ),
        ({"distributed_type": "TPU"}, "expected NO, MULTI_GPU, DEEPSPEED or FSDP; got 'TPU'"),
    ],
)
def test_a_layout_no_host_supports_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_layout({"num_processes": 8} | table, source="x.yaml")
    assert message in str(error.value)


def test_an_unknown_file_is_refused_with_the_nearest_that_is_shipped() -> None:
    with pytest.raises(ValueError, match="did you mean 'fsdp2_8gpu'"):
        load_layout("fsdp_8gpu")
