"""What a user can get wrong ends before training, with what was expected, what came and what to do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from peft import get_peft_model

from mel import prompts, tasks
from mel.config import load_recipe
from mel.hosts.load import load_model, load_tokenizer, lora_config
from mel.miniature import policies
from mel.run import train
from mel.run.refusals import refuse_memory
from mel.tasks.story_counts import StoryCounts
from mel.types import Problem, Verdict

QUICK = ["evaluation.suites=[]", "evaluation.every=null", "trainer.max_steps=1", "trainer.save_strategy='no'"]


def refused(tmp_path: Path, *changes: str, recipe: str = "recommended") -> str:
    with pytest.raises(ValueError) as error:
        train(load_recipe(recipe, [*QUICK, *changes]), output=tmp_path / "run")
    return str(error.value)


def test_an_unknown_trainer_field_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    assert "unknown key 'trainer.num_generation'; did you mean 'num_generations'?" in refused(
        tmp_path, "trainer.num_generation=4"
    )
    assert not (tmp_path / "run").exists(), "nothing is written before the input is known to be good"


def test_a_field_that_resembles_none_is_refused_without_listing_them_all(tmp_path: Path) -> None:
    message = refused(tmp_path, "trainer.qqqq=4")
    assert message == "unknown key 'trainer.qqqq'; expected a field of TRL's GRPOConfig, or mel_engine_*"


def test_what_the_trainer_refuses_names_the_section_and_on_a_cpu_the_way_out(tmp_path: Path) -> None:
    assert refused(tmp_path, "trainer.num_generations=1").startswith("trainer: ")
    if not torch.cuda.is_available():
        message = refused(tmp_path, "trainer.use_cpu=false", "trainer.bf16=true")
        assert "--set trainer.use_cpu=true --set trainer.bf16=false" in message


@pytest.mark.parametrize(
    ("recipe", "change", "message"),
    [
        (
            "maspo",
            "trainer.beta=0.1",
            "surrogate 'maspo' needs {'beta': 0.0} in the configuration; found {'beta': 0.1}",
        ),
        ("maspo", "trainer.loss_type=cispo", "knows the denominators of loss_type grpo, dapo, dr_grpo; got 'cispo'"),
        ("dapo", "trainer.loss_type=grpo", "surrogate 'dapo' needs {'loss_type': 'dapo'} in the configuration"),
        ("dapo", "trainer.mask_truncated_completions=true", "auxiliary 'dynamic_sampling' adds rollouts to their"),
        ("dapo", "carrier.settings.overlong_cache=45", "dapo.overlong_cache: expected at most the limit of 44, got 45"),
    ],
)
def test_a_carrier_that_does_not_go_with_the_trainer_is_refused_before_anything_is_written(
    tmp_path: Path, recipe: str, change: str, message: str
) -> None:
    assert message in refused(tmp_path, change, recipe=recipe)
    assert not (tmp_path / "run").exists()


def test_a_field_that_the_run_directory_settles_is_refused(tmp_path: Path) -> None:
    assert "use output.path or --output" in refused(tmp_path, "trainer.output_dir=x")


def test_a_tracker_that_does_not_exist_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    assert "unknown tracker 'tensorbord'; did you mean 'tensorboard'?" in refused(
        tmp_path, "trainer.report_to=tensorbord"
    )
    assert not (tmp_path / "run").exists()


def test_a_group_that_does_not_divide_the_batch_is_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, "trainer.per_device_train_batch_size=60")
    assert "60" in message
    assert "8" in message


def test_a_missing_model_directory_is_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, f"model.path={tmp_path}/none")
    assert f"{tmp_path}/none" in message
    assert "holds no config.json" in message


def test_an_adapter_is_refused_as_a_beginning(tmp_path: Path) -> None:
    # Another adapter on top would be saved with the first one's base as its own, and so be evaluated without the first.
    base = str(policies.path(0))
    get_peft_model(load_model(base), lora_config({"r": 2})).save_pretrained(tmp_path / "adapter")
    load_tokenizer(base).save_pretrained(tmp_path / "adapter")
    message = refused(tmp_path, f"model.path={tmp_path}/adapter", "model.lora={r: 2}")
    assert "is a LoRA adapter, and training starts from a whole model" in message
    assert f"mel merge {tmp_path}/adapter --output" in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "launcher",
    [
        {"ACCELERATE_USE_FSDP": "true"},
        {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3"},
    ],
)
def test_evaluating_sharded_weights_within_the_run_is_refused(
    launcher: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**launcher, "WORLD_SIZE": "8"}.items():
        monkeypatch.setenv(name, value)
    suites = "evaluation.suites=[{name: heldout}]"
    for change in ("evaluation.after=true", "evaluation.every=2"):
        message = refused(tmp_path, suites, "evaluation.after=false", change)
        assert "shards the weights" in message
        assert "`mel eval RUN`" in message
    assert not (tmp_path / "run").exists()


def test_a_world_without_a_shipped_policy_is_refused(tmp_path: Path) -> None:
    assert "mel miniature build" in refused(tmp_path, "model.path=miniature:99")


def test_a_tokenizer_without_chat_template_is_refused_unless_one_is_given(tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(policies.path(0), model)
    config = json.loads((model / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (model / "tokenizer_config.json").write_text(json.dumps(config))
    (model / "chat_template.jinja").unlink(missing_ok=True)
    message = refused(tmp_path, f"model.path={model}")
    assert "no chat template" in message
    assert "model.chat_template" in message


def test_an_unknown_chat_template_is_refused(tmp_path: Path) -> None:
    assert "expected one of" in refused(tmp_path, "model.chat_template=nonesuch")


def test_an_empty_training_set_is_refused(tmp_path: Path) -> None:
    assert "holds no problem; nothing to train on" in refused(tmp_path, "task.count=0")


def test_sequences_longer_than_the_context_are_refused_with_the_numbers(tmp_path: Path) -> None:
    message = refused(tmp_path, "auxiliaries.0.settings.construct_max_tokens=4000")
    assert "512" in message
    assert "construct" in message


def test_a_context_that_does_not_fit_is_refused_before_weights_are_read(tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(policies.path(0), model)
    (model / "model.safetensors").unlink()
    message = refused(tmp_path, f"model.path={model}", "auxiliaries.0.settings.construct_max_tokens=4000")
    assert "max_position_embeddings is 512: lower auxiliaries.0.settings.max_pair_tokens" in message
    assert "safetensors" in refused(tmp_path, f"model.path={model}"), "one that fits gets as far as the weights"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("task.count=0", "holds no problem"),
        ("task.prompts=nonesuch", "prompt set 'nonesuch'"),
        ("task.options={spelling: 3}", "unknown option 'spelling'"),
        ("output.path=TAKEN", "something is already there"),
    ],
)
def test_names_data_and_the_output_are_refused_before_torch_is_imported(
    change: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    code = (
        "import sys; from mel.config import load_recipe; from mel.run import train\n"
        f"try: train(load_recipe('recommended', {[change.replace('TAKEN', str(tmp_path))]!r}))\n"
        "except ValueError as error: print(error)\n"
        "print(sorted({'torch', 'transformers', 'trl'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert message in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_prompt_set_lacks_nothing_that_the_recipe_does_not_read(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(Path(prompts.__file__).parent / "story_counts", mine)
    (mine / "replay.txt").unlink()
    assert "replay.txt not found in" in refused(tmp_path, f"task.prompts={mine}")
    # Without the auxiliary that reads it the run gets as far as the trainer's own fields.
    message = refused(tmp_path, f"task.prompts={mine}", "auxiliaries=[]", "trainer.nonesuch=1")
    assert "unknown key 'trainer.nonesuch'" in message


def test_only_what_surely_exceeds_the_gpu_is_refused_for_its_memory() -> None:
    refuse_memory(24 * 2**30, there=24 * 2**30)
    refuse_memory(None, there=1)
    with pytest.raises(ValueError, match=r"alone take 60\.0 GiB on each GPU, and the GPU has 24\.0 GiB: `mel plan`"):
        refuse_memory(60 * 2**30, there=24 * 2**30)


class Raising(StoryCounts):
    """A task whose verifier has a bug."""

    def verify(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Verdict]:
        raise KeyError("gold")


class Short(StoryCounts):
    """A task whose verifier forgets a verdict."""

    def verify(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Verdict]:
        return super().verify(problems, responses)[1:]


@pytest.mark.parametrize(
    ("attribute", "message"),
    [("Raising", "task broken: its verifier raised KeyError: 'gold'"), ("Short", "expected 64 verdicts")],
)
def test_a_task_whose_verifier_fails_ends_the_run_with_the_task_named(
    attribute: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(tasks.TASKS, "broken", f"{__name__}:{attribute}")
    assert message in refused(tmp_path, "task.name=broken", "task.options={}")
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["state"] == "failed"
    assert message.split(":")[0] in status["message"]
