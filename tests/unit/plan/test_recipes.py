"""The recipes for real models: the paper's settings, keys that TRL knows, memory that is there."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from trl import GRPOConfig

from mel import plan
from mel.config import Recipe, load_recipe
from mel.hosts.trl.config import check_groups
from mel.plan import Layout
from mel.recipe_files import read_recipe, recipes_directory
from mel.tasks import TASKS

QWEN3 = sorted(p.stem for p in (recipes_directory() / "qwen3").glob("*.yaml"))
MEMORY = re.compile(r"of (\d+) GB")
LAUNCH = re.compile(
    r"accelerate launch --config_file src/mel/recipes/accelerate/(\w+)\.yaml (?:.*\\\n#)?.*-m mel train (\w+)"
)


def text(name: str) -> str:
    return (recipes_directory() / "qwen3" / f"{name}.yaml").read_text()


def layout(name: str) -> Layout:
    found = LAUNCH.search(text(name))
    assert found is not None, "the header gives the launch command"
    return plan.load_layout(found.group(1))


def hardware(name: str) -> tuple[int, int, float]:
    """GPUs per node, nodes and GiB per GPU, as the header says it."""
    head = text(name).splitlines()[0]
    nodes = 2 if "two nodes" in head else 1
    found = MEMORY.search(head)
    assert found is not None
    return 8 if "eight GPUs" in head else 1, nodes, float(found.group(1))


@pytest.mark.parametrize("name", QWEN3)
def test_the_header_launches_this_recipe_with_a_file_that_is_shipped(name: str) -> None:
    found = LAUNCH.search(text(name))
    assert found is not None
    assert found.group(2) == name


@pytest.mark.parametrize("name", QWEN3)
def test_the_settings_are_the_papers(name: str) -> None:
    recipe = load_recipe(name)
    trainer = recipe.trainer
    at = layout(name)
    rollouts = at.processes * trainer["per_device_train_batch_size"] * trainer["gradient_accumulation_steps"]
    assert rollouts == 128 * 8
    assert (trainer["num_generations"], trainer["temperature"], trainer["max_steps"]) == (8, 1.0, 130)
    assert trainer["learning_rate"] == (1e-5 if recipe.model.lora else 1e-6)
    assert (trainer["beta"], trainer["loss_type"]) == (0.0, "grpo")
    mathematics = ["aime24", "aime25", "amc23", "math500", "olympiadbench"]
    code, puzzles = ("mbpp", ["humaneval", "mbpp"]), ("puzzles", ["string_manipulation"])
    task, suites = code if "_code" in name else puzzles if "_puzzles" in name else ("dapo_math", mathematics)
    assert (recipe.task.name, recipe.model.chat_template) == (task, "plain")
    assert [s.name for s in recipe.evaluation.suites] == suites
    assert {(s.k, s.temperature) for s in recipe.evaluation.suites} == {(8, 0.6)}


@pytest.mark.parametrize("name", QWEN3)
def test_its_tasks_exist(name: str) -> None:
    recipe = load_recipe(name)
    assert {recipe.task.name, *(suite.task or recipe.task.name for suite in recipe.evaluation.suites)} <= set(TASKS)


@pytest.mark.parametrize("name", QWEN3)
def test_trl_knows_every_key_and_no_group_is_split_over_ranks(name: str, tmp_path: Path) -> None:
    trainer = load_recipe(name).trainer
    assert set(trainer) <= {f.name for f in fields(GRPOConfig)}
    here = {"use_cpu": True, "bf16": False, "use_vllm": False, "output_dir": str(tmp_path)}
    config = GRPOConfig(**(trainer | here))
    check_groups(config)
    assert config.steps_per_generation == config.gradient_accumulation_steps


@pytest.mark.parametrize("name", QWEN3)
def test_it_fits_the_hardware_its_header_names_under_the_launch_file_it_names(name: str) -> None:
    gpus, nodes, memory = hardware(name)
    recipe = load_recipe(name)
    found = plan.estimate(
        recipe,
        plan.shape_of(recipe.model.path),
        gpus=gpus,
        nodes=nodes,
        gpu_memory_gib=memory,
        layout=layout(name),
    )
    assert found.fits
    assert found.batch.step_problems == 128
    assert not found.notes


@pytest.mark.parametrize("name", [n for n in QWEN3 if not n.endswith("_grpo")])
def test_a_recipe_is_one_of_the_miniatures_apart_from_lengths(name: str) -> None:
    lengths = {"construct_max_tokens", "max_pair_tokens", "long_pairs"}
    miniature = load_recipe(next((arm for arm in ("paper", "distilled") if name.endswith(f"_{arm}")), "recommended"))

    def settings(recipe: Recipe) -> dict[str, object]:
        return {k: v for k, v in recipe.auxiliaries[0].settings if k not in lengths}

    assert settings(load_recipe(name)) == settings(miniature)
    weight = load_recipe(name).auxiliaries[0].weight
    assert (weight.kind, weight.value, weight.share) == (
        miniature.auxiliaries[0].weight.kind,
        miniature.auxiliaries[0].weight.value,
        miniature.auxiliaries[0].weight.share,
    )


def test_the_arms_of_one_size_differ_in_their_auxiliary_alone() -> None:
    for size in ("4b", "8b"):
        tables = [
            read_recipe(f"qwen3_{size}_8gpu{arm}") | {"name": "", "description": "", "auxiliaries": []}
            for arm in ("", "_paper", "_distilled", "_grpo")
        ]
        assert tables[1:] == tables[:1] * 3


def test_the_14b_server_recipe_also_fits_zero_3_with_its_optimizer_in_host_memory() -> None:
    recipe = load_recipe("qwen3_14b_8gpu_paper")
    shape = plan.shape_of(recipe.model.path)
    found = plan.estimate(recipe, shape, gpus=8, gpu_memory_gib=80, layout=plan.load_layout("zero3_4gpu"))
    assert found.peak < 40 * 2**30
    assert found.host / 1e9 == pytest.approx(200, rel=0.1)
