"""A recipe that extends others is what one would have got by typing everything into one file."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mel.config import load_recipe
from mel.recipe_files import EXTENDS, changed, find_recipe, lineage, merged, read_recipe, shipped_bases, shipped_recipes
from mel.recipe_text import recipe_text
from mel.record import RunDirectory

BASE = """\
# What this one is for.
description: the base
model: {path: some/dir, chat_template: plain}
task: {name: story_counts, options: {world: 0, length: 5}}
auxiliaries:
  - name: meta_experience
    settings: {pairs_per_group: 1, guard: count}   # two settings
    weight: {kind: grad_norm, share: 3.0}
trainer:
  # The first comment.
  max_steps: 60   # as many as there are minutes
  seed: 0
evaluation:
  suites:
    - {name: L5, options: {length: 5}, k: 8}
    - {name: L8, options: {length: 8}, k: 0}
"""


def written(directory: Path, **files: str) -> Path:
    """The path of the last of these files."""
    for name, text in files.items():
        (directory / f"{name}.yaml").write_text(text)
    return directory / f"{name}.yaml"


def extended(directory: Path, delta: str) -> dict:
    return read_recipe(str(written(directory, base=BASE, mine=f"extends: base.yaml\n{delta}")))


def test_mappings_merge_key_by_key_and_everything_else_replaces(tmp_path: Path) -> None:
    table = extended(tmp_path, "trainer: {seed: 7, stop: [a]}\ntask: {options: {length: 8}}\n")
    assert table["trainer"] == {"max_steps": 60, "seed": 7, "stop": ["a"]}
    assert table["task"] == {"name": "story_counts", "options": {"world": 0, "length": 8}}
    assert table["model"] == {"path": "some/dir", "chat_template": "plain"}


def test_a_recipe_is_not_called_like_its_base(tmp_path: Path) -> None:
    written(tmp_path, base="name: base_name\n" + BASE)
    path = written(tmp_path, mine="extends: base.yaml\n")
    assert read_recipe(str(path))["name"] == "mine"


def test_one_auxiliary_or_suite_is_changed_by_its_name_and_the_others_stay(tmp_path: Path) -> None:
    table = extended(
        tmp_path,
        "auxiliaries: {meta_experience: {weight: {share: 1}}}\n"
        "evaluation: {suites: {L8: {k: 4}, L11: {options: {length: 11}}}}\n",
    )
    assert table["auxiliaries"] == [
        {
            "name": "meta_experience",
            "settings": {"pairs_per_group": 1, "guard": "count"},
            "weight": {"kind": "grad_norm", "share": 1},
        }
    ]
    assert [(s["name"], s["options"]["length"], s.get("k")) for s in table["evaluation"]["suites"]] == [
        ("L5", 5, 8),
        ("L8", 8, 4),
        ("L11", 11, None),
    ]


def test_null_removes_a_key_of_the_base_and_is_a_value_where_there_is_none(tmp_path: Path) -> None:
    table = extended(
        tmp_path,
        "model: {chat_template: null, attention: null}\n"
        "auxiliaries: {meta_experience: null}\n"
        "evaluation: {suites: {L5: null}}\n",
    )
    assert table["model"] == {"path": "some/dir", "attention": None}
    assert table["auxiliaries"] == []
    assert [suite["name"] for suite in table["evaluation"]["suites"]] == ["L8"]


def test_a_list_replaces_a_list(tmp_path: Path) -> None:
    table = extended(tmp_path, "auxiliaries: []\nevaluation: {suites: [{name: only}]}\n")
    assert (table["auxiliaries"], table["evaluation"]["suites"]) == ([], [{"name": "only"}])


def test_auxiliaries_may_be_a_mapping_without_any_base(tmp_path: Path) -> None:
    path = written(tmp_path, mine="auxiliaries: {meta_experience: {weight: {share: 2}}}\n")
    assert read_recipe(str(path))["auxiliaries"] == [{"name": "meta_experience", "weight": {"share": 2}}]


def test_of_several_bases_the_later_is_on_top_and_one_that_is_reached_twice_undoes_nothing(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        root="trainer: {a: root, b: root, c: root, d: root}\n",
        left="extends: root.yaml\ntrainer: {b: left, c: left}\n",
        right="extends: root.yaml\ntrainer: {c: right}\n",
        mine="extends: [left.yaml, right.yaml]\ntrainer: {d: mine}\n",
    )
    assert [file.name for file in lineage(path)] == ["root", "left", "right", "mine"]
    assert read_recipe(str(path))["trainer"] == {"a": "root", "b": "left", "c": "right", "d": "mine"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: mine.yaml\n", "expected bases that do not lead back to the recipe, got mine -> mine"),
        ("extends: other.yaml\n", "expected bases that do not lead back to the recipe, got mine -> other -> mine"),
        ("extends: recomended\n", "got 'recomended'; did you mean 'recommended'?"),
        ("extends: qwen3_lra\n", "got 'qwen3_lra'; did you mean 'qwen3_lora'?"),
        ("extends: othr.yaml\n", "got 'othr.yaml'; did you mean 'other.yaml'?"),
        ("extends: ../base.yaml\n", "a file in the recipe's own directory, got '../base.yaml'; copy it there"),
        ("extends: /etc/hostname\n", "a file in the recipe's own directory, got '/etc/hostname'; copy it there"),
        ("extends: {base: 1}\n", "extends: expected a recipe's name, a path, or a list of these, got {'base': 1}"),
        ("extends: [grpo, 3]\n", "extends: expected a recipe's name, a path, or a list of these, got ['grpo', 3]"),
        (
            "extends: recommended\nauxiliaries: {meta_experiense: null}\n",
            "auxiliaries.meta_experiense: null removes one that a base has; did you mean 'meta_experience'?",
        ),
        ("extends: recommended\nevaluation: {suites: {L5: 3}}\n", "evaluation.suites.L5: expected a mapping or null"),
    ],
)
def test_what_cannot_be_extended_is_refused_on_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, other="extends: mine.yaml\n", mine=text)
    with pytest.raises(ValueError) as error:
        read_recipe(str(path))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", sorted(shipped_bases()))
def test_a_base_is_refused_as_a_recipe_and_not_as_unknown(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' is a base"):
        load_recipe(name)


def test_bases_and_recipes_share_no_name() -> None:
    assert not set(shipped_bases()) & set(shipped_recipes())


def test_a_run_records_the_recipe_whole(tmp_path: Path) -> None:
    recipe = load_recipe(str(written(tmp_path, mine="extends: recommended\ntrainer: {seed: 7}\n")))
    with RunDirectory.create(tmp_path / "elsewhere" / "run", recipe.resolved(), {}) as run:
        assert EXTENDS not in run.recipe
        assert load_recipe(str(run.path / "recipe.yaml")) == recipe
    assert (recipe.name, recipe.seed, recipe.trainer["max_steps"]) == ("mine", 7, 60)


def test_set_reaches_an_auxiliary_and_a_suite_by_name() -> None:
    changes = ["auxiliaries.meta_experience.weight.share=1.5", "evaluation.suites.L8.k=2"]
    recipe = load_recipe("recommended", changes)
    assert recipe.auxiliaries[0].weight.share == 1.5
    assert [suite.k for suite in recipe.evaluation.suites] == [8, 2]


def test_the_text_of_a_recipe_is_whole_with_comments_and_origins(tmp_path: Path) -> None:
    path = written(tmp_path, base=BASE, mine="# Mine.\nextends: base.yaml\ntrainer:\n  seed: 7   # lucky\n")
    text = recipe_text(lineage(path))
    assert text.splitlines()[:2] == [
        "# Mine.",
        "# extends: base.yaml; here it is whole, and [NAME] marks what is from NAME.",
    ]
    assert "  # The first comment.\n  max_steps: 60   # as many as there are minutes\n" in text
    assert "\n  seed: 7   # lucky [mine]\n" in text
    assert "    settings: {pairs_per_group: 1, guard: count}   # two settings\n" in text
    assert yaml.safe_load(text) == merged(file.table for file in lineage(path))


def test_a_comment_above_a_mapping_on_one_line_is_said_once(tmp_path: Path) -> None:
    wide = ", ".join(f"{key}: {'long words ' * 4}" for key in ("one", "two", "three"))
    path = written(
        tmp_path, base=BASE, mine=f"# Mine.\nextends: base.yaml\nnotes:\n  # Why.\n  all: {{{wide}}}   # all\n"
    )
    text = recipe_text(lineage(path))
    assert (text.count("# Why."), text.count("# all")) == (1, 1)


def test_a_section_that_is_null_can_be_changed_key_by_key() -> None:
    # A recorded recipe holds `lora: null`, and so may one that somebody writes.
    table = {"model": {"path": "x", "lora": None}, "auxiliaries": []}
    assert changed(table, ["model.lora.r=8"])["model"] == {"path": "x", "lora": {"r": 8}}
    with pytest.raises(ValueError, match="expected a list with items, got an empty one: 'mine' is not in it"):
        changed(table, ["auxiliaries.mine.weight=1"])


def test_the_text_tells_a_recipe_from_a_base_of_the_same_name(tmp_path: Path) -> None:
    path = written(tmp_path, grpo="extends: grpo\ntrainer: {seed: 7}\n")
    text = recipe_text(lineage(path))
    assert "trainer:   # [base grpo]\n" in text
    assert "  seed: 7   # [grpo]\n" in text


@pytest.mark.parametrize("name", [*shipped_recipes(), *shipped_bases()])
def test_the_text_of_what_is_shipped_says_the_same_as_its_files(name: str) -> None:
    files = lineage(shipped_bases().get(name) or find_recipe(name))
    assert yaml.safe_load(recipe_text(files)) == merged(file.table for file in files)


@pytest.mark.parametrize("ending", ["yaml", "yml"])
def test_a_file_beside_it_is_found_without_its_ending_too(ending: str, tmp_path: Path) -> None:
    (tmp_path / f"b.{ending}").write_text(BASE)
    assert read_recipe(str(written(tmp_path, mine="extends: b\ncarrier: dapo\n")))["description"] == "the base"
