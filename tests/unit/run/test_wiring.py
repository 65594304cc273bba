"""What the names in a recipe become."""

from __future__ import annotations

from dataclasses import fields

from trl import GRPOConfig

from mel.config import load_recipe, parse_recipe
from mel.run.wiring import build_method, wire
from mel.types import Generate


def replay_limit(**trainer: int) -> int:
    """Tokens that a replay may have under `recommended` with these trainer fields instead of its own."""
    recipe = parse_recipe({**load_recipe("recommended").resolved(), "trainer": trainer})
    requests = build_method(wire(recipe)).auxiliaries[0].learn([], step=1)
    next(requests)  # construct
    replay = requests.send([])
    assert isinstance(replay, Generate)
    assert replay.phase == "replay"
    return replay.sampling.max_tokens


def test_a_replay_may_be_as_long_as_a_rollout() -> None:
    assert replay_limit(max_completion_length=44) == 44


def test_a_replay_may_be_as_long_as_a_rollout_where_the_recipe_leaves_that_to_trl() -> None:
    (default,) = [f.default for f in fields(GRPOConfig) if f.name == "max_completion_length"]
    assert replay_limit() == default == 512
