"""What can be known of a recipe before it runs."""

from __future__ import annotations

import re
import tomllib
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from mel.config import load_recipe
from mel.plan import Plan
from mel.recipe_files import shipped_recipes
from mel.run.doctor import EXTRAS
from mel.run.preview import list_recipes, show_plan, show_recipe


def printed(function, *words: str) -> str:
    console = Console(file=StringIO(), width=80)
    function(*words, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_every_recipe_is_listed_with_its_hardware() -> None:
    text = printed(list_recipes)
    assert all(re.search(rf"^ {name} +\S+", text, flags=re.M) for name in shipped_recipes())
    assert re.search(r"^ qwen3_1_7b_24gb +one GPU of 24 GB", text, flags=re.M)


@pytest.mark.parametrize("name", list(shipped_recipes()))
def test_a_recipe_is_printed_as_a_recipe_whose_launch_file_is_where_it_says(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.yaml"
    path.write_text(printed(show_recipe, name))
    assert load_recipe(str(path)) == load_recipe(name)
    assert all(Path(file).is_file() for file in re.findall(r"--config_file (\S+)", path.read_text()))


def test_a_recipe_that_does_not_exist_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match=r"`mel recipes` lists them\); got 'recomended'; did you mean 'recommended'\?"):
        show_recipe("recomended", Console())


@pytest.mark.parametrize("name", ["../../file", "/etc/hostname", "", "a b"])
def test_what_is_neither_a_name_nor_a_yaml_file_is_not_printed(name: str) -> None:
    with pytest.raises(ValueError, match=r"expected a name \(`mel recipes` lists them\) or a .yaml file, got"):
        show_recipe(name, Console())


def test_a_file_is_printed_whole(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("extends: recommended\ntrainer: {seed: 7}\n")
    whole = tmp_path / "whole" / "mine.yaml"
    whole.parent.mkdir()
    whole.write_text(printed(show_recipe, str(path)))
    assert "extends:" not in whole.read_text().replace("# extends:", "")
    assert load_recipe(str(whole)) == load_recipe(str(path))


def test_hardware_that_takes_two_lines_is_listed_whole() -> None:
    text = " ".join(printed(list_recipes).split())
    assert "the model is made first (docs/pretrained.md): make smollm2, then `mel tales warm-up" in text


def test_the_doctor_knows_every_extra_that_a_user_may_want() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert set(EXTRAS) == set(project["optional-dependencies"]) - {"dev", "browser"}
    for name, (modules, _) in EXTRAS.items():
        packages = " ".join(project["optional-dependencies"][name]).replace("-", "_")
        assert all(module in packages for module in modules)


def planned(name: str, *changes: str) -> tuple[Plan, str]:
    console = Console(file=StringIO(), width=300)
    found = show_plan(
        load_recipe(name, changes), gpus=8, gpu_memory_gib=80.0, nodes=1, accelerate_config=None, console=console
    )
    return found, console.file.getvalue()  # type: ignore[attr-defined]


def test_a_plan_counts_with_the_prompts_that_the_options_of_the_task_make() -> None:
    (short, said), (long, _) = (planned("recommended", "task.count=20", f"task.options.length={n}") for n in (3, 6))
    lengths = [next(x.prompt for x in plan.longest if x.phase == "rollout") for plan in (short, long)]
    assert lengths[0] < lengths[1] < 60
    assert short.assumptions.prompt_tokens <= lengths[0]
    assert "measured: the prompts of all 20 problems" in " ".join(said.split())


def test_a_plan_says_which_lengths_it_assumes_and_why() -> None:
    found, said = planned("qwen3_4b_8gpu_code")
    assert next(x.prompt for x in found.longest if x.phase == "rollout") == 1024
    assert found.about_prompts == (
        "assumed: prompts of 160 tokens on average and 1,024 at most "
        "(prompts were not measured: the tokenizer of Qwen/Qwen3-4B-Base is not on this machine)"
    )
    assert found.about_prompts in " ".join(said.split())


@pytest.mark.parametrize(("changes", "said"), [([], "44"), (["trainer.max_completion_length=30"], "30")])
def test_a_plan_says_the_solutions_that_it_counts(changes: list[str], said: str) -> None:
    console = Console(file=StringIO(), width=100)
    options: dict = {"gpus": 1, "gpu_memory_gib": 80.0, "nodes": 1, "accelerate_config": None}
    show_plan(load_recipe("grpo", changes), console=console, **options)
    assert f"assumed: solutions of {said} tokens" in console.file.getvalue()  # type: ignore[attr-defined]
