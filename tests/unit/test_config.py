"""Recipes are read strictly: what is unknown is refused with the nearest valid name, what is valid round-trips."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mel.config import load_recipe, parse_recipe
from mel.recipe_files import recipes_directory, shipped_bases, shipped_recipes
from mel.record import RunDirectory

MINIMAL = {"name": "x", "model": {"path": "some/dir"}, "task": {"name": "story_counts"}}


def shipped() -> list[str]:
    return sorted(shipped_recipes())


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_recipe_loads_and_its_resolved_form_is_the_same_recipe(name: str) -> None:
    recipe = load_recipe(name)
    assert parse_recipe(recipe.resolved()) == recipe
    assert parse_recipe(recipe.resolved()).sha256() == recipe.sha256()


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_recipe_says_on_what_it_runs(name: str) -> None:
    assert shipped_recipes()[name].read_text().startswith("# Hardware:")


def test_names_of_recipes_are_unique() -> None:
    files = [p for p in recipes_directory().glob("**/*.yaml") if p.parent.name != "accelerate"]
    assert len(files) == len(set(shipped()) | set(shipped_bases())) > 0


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"trainr": {}}, "unknown key 'trainr'; did you mean 'trainer'?"),
        ({"evaluation": {"every": 5}}, "evaluation: every: expected suites to evaluate every 5 steps, got none"),
        ({"evaluation": {"suites": [{"name": "a", "tempreature": 1}]}}, "did you mean 'temperature'?"),
        (
            {"auxiliaries": [{"name": "meta_experience", "weight": {"lamda": 1}}]},
            "unknown key 'auxiliaries.0.weight.lamda'; did you mean 'lambda'?",
        ),
        (
            {"auxiliaries": [{"name": "meta_experience", "settings": {"pair_per_group": 1}}]},
            "unknown key 'meta_experience.pair_per_group'; did you mean 'pairs_per_group'?",
        ),
        ({"auxiliaries": [{"name": "meta_experiense"}]}, "did you mean 'meta_experience'?"),
        ({"auxiliaries": [{"name": "meta_experience", "weight": {"every": 0}}]}, "at least 1 optimizer step between"),
        (
            {"auxiliaries": [{"name": "meta_experience", "weight": {"kind": "constant", "every": 5}}]},
            "leave it out; norms and cosine are logged for all auxiliaries by diagnostics: {measures: [gradients], "
            "every: 5}",
        ),
        (
            {"diagnostics": {"measures": ["recovry"]}},
            "recipe: diagnostics: measures.0: expected one of gradients, initial_kl, localization, recovery, "
            "hint_reliance, got 'recovry'; did you mean 'recovery'?",
        ),
        ({"diagnostics": {"evry": 5}}, "unknown key 'evry'; did you mean 'every'?"),
        ({"diagnostics": {"measures": ["gradients"]}}, "'gradients' is about an auxiliary beside the policy"),
        ({"carrier": "dr_gprpo"}, "did you mean 'dr_grpo'?"),
        ({"credit": "first_eror"}, "did you mean 'first_error'?"),
        ({"task": {"name": "story_counts", "count": "many"}}, "task.count"),
        ({"task": {"name": "x", "opening": [{"role": "tool", "content": "a"}]}}, "task.opening.0.role"),
        (
            {"task": {"name": "x", "opening": [{"role": "user", "content": "a"}]}},
            "or both in this order, got the roles user",
        ),
        ({"output": {"tracked_experiences": -1}}, "output.tracked_experiences: expected the number of experiences"),
    ],
)
def test_a_bad_key_or_value_is_refused_with_the_nearest_valid_one(table: dict, message: str) -> None:
    with pytest.raises(ValueError, match="recipe: ") as error:
        parse_recipe(MINIMAL | table)
    assert message in str(error.value)


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(ValueError, match=r"trainr.*evry|evry.*trainr"):
        parse_recipe(MINIMAL | {"trainr": {}, "evaluation": {"evry": 1}})


def test_set_changes_a_nested_key_and_a_list_item(tmp_path: Path) -> None:
    recipe = load_recipe("recommended", ["trainer.seed=7", "auxiliaries.0.settings.pairs_per_group=4"])
    assert recipe.seed == 7
    assert recipe.auxiliaries[0].settings.pairs_per_group == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("trainer.seed", "expected section.key=value, got 'trainer.seed'"),
        ("auxiliaries.3.name=x", "expected an index from 0 to 0 or a name (meta_experience), got '3'"),
        ("model.path.x=1", "'path' is a value, not a section"),
        ("trainer_.seed=1", "did you mean 'trainer'?"),
    ],
)
def test_a_bad_set_is_refused(change: str, message: str) -> None:
    with pytest.raises(ValueError) as error:
        load_recipe("recommended", [change])
    assert message in str(error.value)


def test_an_unknown_recipe_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ValueError, match="did you mean 'recommended'"):
        load_recipe("recomended")


@pytest.mark.parametrize("text", ["- a\n- b\n", "model: [unclosed\n"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"r\.yaml"):
        load_recipe(str(path))


def test_the_file_name_is_the_recipe_name_unless_it_says_otherwise(tmp_path: Path) -> None:
    table = {key: value for key, value in MINIMAL.items() if key != "name"}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(table))
    assert load_recipe(str(path)).name == "mine"


def test_changing_one_value_changes_the_hash() -> None:
    assert load_recipe("grpo").sha256() != load_recipe("grpo", ["trainer.seed=1"]).sha256()


@pytest.mark.parametrize("text", ["1e-6", "1E-6", "0.1e-5", "1.e-6", ".1e-5", "+1e-6"])
def test_a_number_in_scientific_notation_is_a_number(text: str, tmp_path: Path) -> None:
    assert load_recipe("grpo", [f"trainer.learning_rate={text}"]).trainer["learning_rate"] == 1e-6
    path = tmp_path / "mine.yaml"
    path.write_text(f"model: {{path: x}}\ntask: {{name: gsm8k}}\ntrainer: {{learning_rate: {text}, optim_args: 1e}}\n")
    assert load_recipe(str(path)).trainer == {"learning_rate": 1e-6, "optim_args": "1e"}


def test_text_that_looks_like_such_a_number_is_recorded_as_text(tmp_path: Path) -> None:
    recipe = load_recipe("grpo", ["model.attention='1234e567'", "trainer.learning_rate=1e-6"])
    with RunDirectory.create(tmp_path / "run", recipe.resolved(), {}) as run:
        assert load_recipe(str(run.path / "recipe.yaml")).sha256() == recipe.sha256()
        assert parse_recipe(run.recipe) == recipe


@pytest.mark.parametrize(
    ("change", "shown"), [("trainer.seed=", "null"), ("trainer.seed=x", "'x'"), ("trainer.seed=true", "true")]
)
def test_a_seed_that_is_no_whole_number_is_refused_by_its_key(change: str, shown: str) -> None:
    with pytest.raises(ValueError, match=f"trainer.seed: expected a whole number from 0 to 4294967295, got {shown}"):
        load_recipe("recommended", [change])


@pytest.mark.parametrize("name", ["paper", "recommended"])  # a constant weight, and one that follows gradients
def test_a_recipe_recorded_when_every_step_was_measured_by_default_is_the_same_recipe(name: str) -> None:
    then = load_recipe(name).resolved()
    then["auxiliaries"][0]["weight"]["every"] = 1
    assert parse_recipe(then).sha256() == load_recipe(name).sha256()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("lambda=0.5", "weight: lambda: kind 'grad_norm' sets lambda itself, by share, got 0.5: set kind: constant"),
        (
            "final=0.1",
            "weight: final: a constant schedule keeps all of lambda, got 0.1: set schedule: linear or cosine",
        ),
    ],
)
def test_a_number_that_the_weight_would_not_use_is_refused(change: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_recipe("recommended", [f"auxiliaries.meta_experience.weight.{change}"])
    assert load_recipe("paper", ["auxiliaries.meta_experience.weight.lambda=0.5"])
