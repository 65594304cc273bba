"""What is expected is said in words, whatever kind of type was missed, and nothing is converted on the way."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field

from mel.config import load_recipe
from mel.value_check import because, check, model_of

MODEL = model_of(
    {
        "share": Annotated[float, Field(ge=0, lt=1)],
        "count": Annotated[int, Field(ge=1)] | None,
        "steps": Literal[-1] | Annotated[int, Field(ge=1)],
        "kind": Literal["closest", "random"],
        "names": list[str] | str | None,
        "table": dict[str, int],
        "pair": tuple[int, int],
        "never": Annotated[Literal[False], because("the run does it")],
    }
)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"share": "0.5"}, "at.share: expected a number of at least 0 and below 1, got '0.5'"),
        ({"share": float("nan")}, "at.share: expected a number of at least 0 and below 1, got nan"),
        ({"count": True}, "at.count: expected a whole number of at least 1 or null, got true"),
        ({"steps": 0}, "at.steps: expected -1 or a whole number of at least 1, got 0"),
        ({"kind": "closet"}, "at.kind: expected one of closest, random, got 'closet'; did you mean 'closest'?"),
        ({"kind": None}, "at.kind: expected one of closest, random, got null"),
        ({"names": ["a", 3]}, "at.names: expected a list of texts, text or null, got ['a', 3]"),
        ({"table": {"a": "x"}}, "at.table.a: expected a whole number, got 'x'"),
        ({"never": True}, "at.never: expected false (the run does it), got true"),
        ({"kinds": 1}, "unknown key 'at.kinds'; did you mean 'kind'?"),
        ({"share": 2, "count": 0}, "at.share: expected a number of at least 0 and below 1, got 2; at.count: expected"),
    ],
)
def test_a_value_is_refused_with_what_was_expected_and_what_came(values: dict, message: str) -> None:
    with pytest.raises(ValueError) as error:
        check(MODEL, values, at="at")
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_what_a_yaml_file_means_is_taken() -> None:
    check(MODEL, {"share": 0, "count": None, "steps": -1, "names": ["a"], "table": {}, "pair": [1, 2]}, at="at")


@pytest.mark.parametrize(
    ("recipe", "change", "message"),
    [
        ("grpo", "trainer.loss_type=foo", "trainer.loss_type: expected one of grpo, dapo"),
        ("grpo", "trainer.save_strategy=false", "trainer.save_strategy: expected one of no, steps, epoch, got false"),
        ("grpo", "trainer.lr_scheduler_type=cosin", "got 'cosin'; did you mean 'cosine'?"),
        ("grpo", "trainer.reward_weights=[1,2]", "expected a list of numbers with 1 item or null, got [1, 2]"),
        ("grpo", "trainer.eval_strategy=steps", "expected no (evaluation.every evaluates within a run), got 'steps'"),
        ("grpo", "trainer=null", "trainer: expected a mapping, got null"),
        ("grpo", "evaluation=null", "evaluation: expected a mapping, got null"),
        ("grpo", "task.count=-1", "task.count: expected a whole number of at least 1 or null, got -1"),
        ("grpo", "model.lora.r=-1", "model.lora.r: expected a whole number of at least 1, got -1"),
        ("grpo", "model.lora.bais=none", "unknown key 'model.lora.bais'; did you mean 'bias'?"),
        ("recommended", "auxiliaries.meta_experience=null", "auxiliaries.0: expected a mapping, got null"),
        ("recommended", "auxiliaries.meta_experience.name=null", "auxiliary: expected one of critique_refine, "),
        ("recommended", "auxiliaries.meta_experience.weight.lambda=true", "weight.lambda: expected a number of at"),
        ("recommended", "evaluation.suites.0.k='8'", "evaluation.suites.0.k: expected a whole number of at least 0"),
        ("recommended", "description=!!binary aGVsbG8=", "expected YAML, got could not determine a constructor"),
        ("recommended", "trainer.label_names=!!set {a}", "expected YAML, got could not determine a constructor"),
    ],
)
def test_a_recipes_values_are_refused_by_their_keys(recipe: str, change: str, message: str) -> None:
    with pytest.raises(ValueError) as error:
        load_recipe(recipe, [change])
    assert message in str(error.value)
    assert "\n" not in str(error.value)
