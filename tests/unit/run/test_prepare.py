"""What the names in a recipe become."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import torch
from trl import GRPOConfig

from mel.config import load_recipe, parse_recipe
from mel.hosts.trl.problems import example_of, opening_of
from mel.requests import Generate
from mel.run import train
from mel.run.prepare import build_method, prepare_evaluation
from mel.types import Sampling


def replay_limit(**trainer: int) -> int:
    """Tokens that a replay may have under `recommended` with these trainer fields instead of its own."""
    recipe = parse_recipe({**load_recipe("recommended").resolved(), "trainer": trainer})
    requests = build_method(prepare_evaluation(recipe, reads_training_set=False)).auxiliaries[0].learn([], step=1)
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


def test_an_added_rollout_is_sampled_as_the_host_samples_its_own() -> None:
    trainer = {"temperature": 0.7, "top_p": 0.9, "max_completion_length": 44}
    recipe = parse_recipe({**load_recipe("extra_rollouts").resolved(), "trainer": trainer})
    request = next(build_method(prepare_evaluation(recipe, reads_training_set=False)).auxiliaries[0].learn([], step=1))
    assert isinstance(request, Generate)
    assert request.sampling == Sampling(max_tokens=44, temperature=0.7, top_p=0.9)


def test_the_guard_of_an_engine_is_set_in_the_trainer_section(tmp_path: Path) -> None:
    changes = ["evaluation={}", "trainer.max_steps=1", "trainer.mel_engine_check_every=7"]
    run = train(load_recipe("recommended", changes), output=tmp_path / "run")
    assert torch.load(run / "model" / "training_args.bin", weights_only=False).mel_engine_check_every == 7


def test_a_system_prompt_of_a_recipe_is_a_turn_before_every_problem() -> None:
    recipe = load_recipe("recommended", ["task.opening=Be brief."])
    assert recipe.task.turns == ({"role": "system", "content": "Be brief."},)
    assert parse_recipe(recipe.resolved()) == recipe


def test_the_opening_of_a_recipe_reaches_training_rows_and_the_suites_of_every_task() -> None:
    example = [{"role": "user", "content": "start 53"}, {"role": "assistant", "content": "answer 53"}]
    suites = [{"name": "own", "count": 2}, {"name": "other", "task": "tales", "count": 2}]
    changes = [f"task.opening={json.dumps(example)}", f"evaluation.suites={json.dumps(suites)}", "task.count=2"]
    prepared = prepare_evaluation(load_recipe("recommended", changes), reads_training_set=True)
    row = example_of(prepared.problems[0], prepared.ask(prepared.problems[0]))
    assert list(opening_of(row["prompt"])) == example
    for suite in prepared.suites:
        assert suite.ask(suite.problems[0])[:-1] == example
    plain = prepare_evaluation(load_recipe("recommended"), reads_training_set=False)
    assert plain.ask(prepared.problems[0]) == row["prompt"][2:]
    # Results that were asked in another way are not mixed.
    assert prepared.ask.name.startswith(f"{plain.ask.name}+opening@")


def test_the_options_of_a_chat_template_reach_every_prompt_of_a_run(tmp_path: Path) -> None:
    template = tmp_path / "quiet.jinja"
    template.write_text("{{ messages[-1].content }} {% if thinks is false %}answer{% endif %}")
    changes = [f"model.chat_template={template}", "trainer.chat_template_kwargs={thinks: false}"]
    chat = prepare_evaluation(load_recipe("recommended", changes), reads_training_set=False).chat
    assert chat.decode(chat.chat([{"role": "user", "content": "start 53"}])) == "start 53 answer"
