"""YAML of recipes means what its writer meant, and what means nothing is refused on one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mel import recipe_yaml
from mel.config import load_recipe, parse_recipe
from mel.recipe_files import read_recipe

WHOLE = "model: {path: x}\ntask: {name: gsm8k}\n"


@pytest.mark.parametrize("word", ["no", "No", "NO"])
def test_a_strategy_of_the_trainer_may_be_no(word: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"{WHOLE}trainer: {{save_strategy: {word}, eval_strategy: 'no'}}\n")
    assert load_recipe(str(path)).trainer == {"save_strategy": "no", "eval_strategy": "no"}
    assert load_recipe("grpo", [f"trainer.save_strategy={word}"]).trainer["save_strategy"] == "no"


@pytest.mark.parametrize(("word", "value"), [("no", False), ("off", False), ("yes", True), ("On", True)])
def test_elsewhere_among_free_keys_such_a_word_is_a_boolean(word: str, value: bool) -> None:
    text = f"trainer: {{bf16: {word}, chat_template_kwargs: {{enable: {word}}}}}\nmodel: {{lora: {{x: {word}}}}}"
    loaded = recipe_yaml.load(text)
    assert loaded["trainer"] == {"bf16": value, "chat_template_kwargs": {"enable": value}}
    assert loaded["model"] == {"lora": {"x": value}}
    assert load_recipe("grpo", [f"trainer.bf16={word}"]).trainer["bf16"] is value
    assert load_recipe("grpo", [f"task.options.x={word}"]).task.options["x"] is value


def test_a_boolean_field_of_a_recipe_takes_either_and_a_text_field_the_word() -> None:
    recipe = load_recipe("grpo", ["evaluation.before=no", "output.save_final=off", "model.attention=no"])
    assert (recipe.evaluation.before, recipe.output.save_final, recipe.model.attention) == (False, False, "no")


def test_quoted_words_stay_text_and_are_recorded_so(tmp_path: Path) -> None:
    recipe = load_recipe("grpo", ["trainer.save_strategy=no", "trainer.optim_args='off'", "model.attention=on"])
    assert recipe.trainer["optim_args"] == "off"
    text = recipe_yaml.dump(recipe.resolved())
    assert parse_recipe(recipe_yaml.load(text)).sha256() == recipe.sha256()
    assert yaml.safe_load(text)["trainer"]["save_strategy"] == "no", "read alike by a YAML 1.1 reader"


@pytest.mark.parametrize("text", ["12:30", "2026-01-31", "1:30:00.5"])
def test_times_and_dates_are_text(text: str) -> None:
    assert recipe_yaml.load(f"model: {{path: {text}}}") == {"model": {"path": text}}


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False), ("8", 8), ("0.5", 0.5), ("null", None)])
def test_other_scalars_are_what_they_were(text: str, value: object) -> None:
    assert recipe_yaml.load(text) == value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("model.path={{{", "expected YAML, got "),
        ("model.path=!!tag", "expected YAML, got "),
        ("model.path=!!bool perhaps", "expected YAML, got "),
        ("model.path=!!timestamp soon", "expected YAML, got "),
        ("model.path=&a [*a]", "a value that contains itself"),
        ("model.path=" + "[" * 3000, "expected YAML, got "),
        ("model.path='open", "expected YAML, got "),
        ("trainer={seed: 1, seed: 2}", "the key 'seed' twice (line 1, column 11)"),
    ],
)
def test_a_value_that_is_no_yaml_is_refused_on_one_line(change: str, message: str) -> None:
    with pytest.raises(ValueError) as error:
        load_recipe("grpo", [change])
    assert str(error.value).startswith(f"--set {change}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"model: [unclosed\n", "mine.yaml: expected YAML, got "),
        (b"trainer: {}\nmodel: {path: x}\ntrainer: {}\n", "the key 'trainer' twice (line 3, column 1)"),
        (b"model: {path: caf\xe9}\n", "mine.yaml: expected UTF-8 text, got byte 0xe9"),
        (b"model: \x00\n", "mine.yaml: expected YAML, got "),
        (b"- a\n", "mine.yaml: expected a mapping of sections, got list"),
        (b"", "mine.yaml: expected a mapping of sections, got NoneType"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_on_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(ValueError) as error:
        read_recipe(str(path))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + WHOLE.encode())
    assert load_recipe(str(path)).model.path == "x"


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "two words", "", "/x"])
def test_a_name_that_would_lead_out_of_its_directory_is_refused(name: str) -> None:
    for change in (f"name='{name}'", f"evaluation.suites.0.name='{name}'"):
        with pytest.raises(ValueError, match="expected a plain word") as error:
            load_recipe("grpo", [change])
        assert repr(name) in str(error.value)
