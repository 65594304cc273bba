"""Carriers and credit rules with settings: as recipes write, extend, change and record them."""

from __future__ import annotations

from typing import ClassVar

import pytest
from pydantic import Field
from stories import PROMPTS, TASK, words

from mel.config import Recipe, parse_recipe
from mel.methods import CARRIERS, CarrierSettings, Surroundings, build, carrier_settings
from mel.methods.carriers.grpo import Grpo
from mel.ports import Carrier
from mel.recipe_files import merged, read_recipe

AT = Surroundings(tokenizer=words(), prompts=PROMPTS, steps=TASK.steps, rollout_max_tokens=44)
MINIMAL = {"name": "x", "model": {"path": "some/dir"}, "task": {"name": "story_counts"}}


class SharpSettings(CarrierSettings):
    """A carrier with something to set, as a plug-in would bring it."""

    name: ClassVar[str] = "sharp"
    surrogate: ClassVar[str] = "grpo"

    sigma: float = Field(default=1.0, gt=0, description="Width.")
    form: str = "soft"

    def build(self, at: Surroundings | None) -> Carrier:
        return Grpo()


@pytest.fixture(autouse=True)
def _sharp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CARRIERS, "sharp", SharpSettings)


def recipe(**sections: object) -> Recipe:
    return parse_recipe(MINIMAL | sections)


def test_a_name_alone_means_the_defaults_and_all_settings_are_recorded() -> None:
    found = recipe(carrier="sharp")
    assert found.carrier.settings == SharpSettings(sigma=1.0, form="soft")
    assert found.resolved()["carrier"] == {"name": "sharp", "settings": {"sigma": 1.0, "form": "soft"}}
    assert parse_recipe(found.resolved()) == found


def test_a_carrier_with_nothing_to_set_is_recorded_as_its_name_however_it_was_written() -> None:
    for written in ("dr_grpo", {"name": "dr_grpo"}, {"name": "dr_grpo", "settings": {}}):
        found = recipe(carrier=written, credit={"name": "outcome"})
        assert (found.resolved()["carrier"], found.resolved()["credit"]) == ("dr_grpo", "outcome")


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"carrier": {"name": "sharp", "settings": {"sgma": 2.0}}}, "unknown key 'sharp.sgma'; did you mean 'sigma'"),
        ({"carrier": {"name": "sharp", "settings": {"sigma": "2"}}}, "sharp.sigma: expected a number above 0, got '2'"),
        ({"carrier": {"name": "grpo", "settings": {"sigma": 2.0}}}, "unknown key 'grpo.sigma'; it has none"),
        ({"carrier": {"name": "sharp", "setings": {}}}, "unknown key 'carrier.setings'; did you mean 'settings'?"),
        ({"carrier": {"name": "shrp"}}, "carrier: expected one of .*, got 'shrp'; did you mean 'sharp'?"),
        ({"credit": {"name": "outcome", "settings": [1]}}, "credit: settings: expected a mapping of settings"),
    ],
)
def test_a_setting_that_there_is_not_is_refused_with_the_nearest_one(sections: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_recipe(MINIMAL | sections, source="x")


def test_the_command_line_changes_the_name_or_one_setting() -> None:
    assert read_recipe("grpo", ["carrier=rft"])["carrier"] == "rft"
    found = read_recipe("grpo", ["carrier=sharp", "carrier.settings.sigma=2.5"])
    assert parse_recipe(found).carrier.settings == SharpSettings(sigma=2.5)


@pytest.mark.parametrize(
    ("base", "change", "expected"),
    [
        ("sharp", {"settings": {"sigma": 2.0}}, {"name": "sharp", "settings": {"sigma": 2.0}}),
        ({"name": "sharp", "settings": {"form": "a"}}, {"settings": {"sigma": 2.0}}, None),
        ({"name": "sharp", "settings": {"form": "a"}}, {"name": "rft"}, {"name": "rft"}),
        ({"name": "sharp", "settings": {"form": "a"}}, "rft", "rft"),
    ],
)
def test_a_recipe_on_a_base_keeps_the_settings_of_the_same_carrier_only(
    base: object, change: object, expected: object
) -> None:
    both = {"name": "sharp", "settings": {"form": "a", "sigma": 2.0}}
    assert merged([{"carrier": base}, {"carrier": change}])["carrier"] == (expected or both)


def test_settings_reach_the_method_by_name_or_as_they_are() -> None:
    assert carrier_settings("sharp", {"sigma": 3.0}) == SharpSettings(sigma=3.0)
    assert isinstance(build(at=AT, carrier=SharpSettings()).carrier, Grpo)
