"""Models beside the policy, and what is scored or rewarded between generating and training, in figures by hand.

A policy of two layers: hidden 8, feed-forward 24, 2 heads of width 4, one of them for keys; 100 words, tied.
A layer has q 64 + k 32 + v 32 + o 64 + gate 192 + up 192 + down 192 = 768 weights in linear maps, 16 + 8 in norms;
with the embedding's 800 and the last norm's 8 there are 2 x 792 + 808 = 2,392 parameters.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mel import plan
from mel.config import Recipe
from mel.plan.numbers import GIB

CONFIG = {
    "model_type": "qwen3", "vocab_size": 100, "hidden_size": 8, "intermediate_size": 24, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4, "tie_word_embeddings": True,
    "max_position_embeddings": 4096,
}  # fmt: skip
SHAPE = plan.shape_from_config(CONFIG)
P = 2_392
TRAINER = {
    "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "num_generations": 4,
    "max_completion_length": 100,
}  # fmt: skip
DDP = plan.parse_layout({"distributed_type": "MULTI_GPU", "num_processes": 2}, source="ddp.yaml")
FSDP2 = plan.parse_layout(
    {"distributed_type": "FSDP", "num_processes": 2, "fsdp_config": {"fsdp_version": 2}}, source="fsdp.yaml"
)


@pytest.fixture
def planned(recipe: Callable[..., Recipe]) -> Callable[..., plan.Plan]:
    """The plan of the small policy: prompts of 60 tokens, instructions of 20, completions of 100."""

    def build(
        *, layout: plan.Layout | None = None, trainer: dict[str, Any] | None = None, **sections: Any
    ) -> plan.Plan:
        return plan.estimate(
            recipe(trainer=TRAINER | (trainer or {}), **sections),
            SHAPE,
            gpus=2 if layout else 1,
            gpu_memory_gib=80,
            layout=layout,
            prompt_tokens=60,
            instruction_tokens=20,
        )

    return build


def credit(**settings: Any) -> dict[str, Any]:
    return {"name": "process_reward", "settings": settings}


def test_the_small_policy_has_the_parameters_that_were_counted_by_hand() -> None:
    assert SHAPE.parameters == P


def test_an_implicit_reward_model_keeps_two_copies_and_the_moments_of_one(planned: Callable[..., plan.Plan]) -> None:
    found = planned(credit=credit(source="implicit"))
    # Float32: the initial weights 4, the learned ones 4, two moments 8; the gradients 4 while it learns.
    assert {parts["implicit reward model"] for parts in found.moments.values()} == {16 * P}
    assert set(found.moments) == {"training", "generating", "rewarding"}
    assert found.rewarding["implicit reward gradients"] == 4 * P
    assert "implicit reward gradients" not in found.training
    # 4 rows of 160 tokens, nothing computed twice. Of a layer a token saves 136 in norms, 80 before linear maps, 84 in
    # query and key norms, 72 + 320 of the mask in attention and 192 in the feed-forward part, which is 884; each layer
    # has 2 x 768 of cast weights, and both ends take 8 x 8 a token.
    stream = 2 * (640 * 884 + 1_536) + 640 * 64
    # 4 x 100 targets x 100 words: bfloat16 logits, their gradient, float32 ones; of one row two more in float32.
    logits = 40_000 * (2 + 2 + 4) + 10_000 * 8
    assert found.rewarding["implicit reward activations"] == stream + logits


def test_copies_lie_whole_under_ddp_and_are_refused_where_the_policy_is_sharded(
    planned: Callable[..., plan.Plan],
) -> None:
    assert planned(layout=DDP, credit=credit(source="implicit")).training["implicit reward model"] == 16 * P
    with pytest.raises(
        ValueError, match=r"process_reward: an implicit reward model copies all weights, and here fsdp\.yaml"
    ):
        planned(layout=FSDP2, credit=credit(source="implicit"))
    with pytest.raises(ValueError, match="here adapters are trained: train all weights on one GPU or under DDP"):
        planned(model={"path": "x", "lora": {"r": 2}}, credit=credit(source="implicit"))


@pytest.mark.parametrize(("dtype", "width"), [("bfloat16", 2), (None, 4)])
def test_a_process_reward_model_lies_whole_and_frozen_on_every_gpu(
    planned: Callable[..., plan.Plan], tmp_path: Path, dtype: str | None, width: int
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | ({"dtype": dtype} if dtype else {})))
    found = planned(layout=FSDP2, credit=credit(source="model", model=str(tmp_path)))
    # Two classes over 8 hidden units, with a bias, in the place of the head: 18 more.
    assert {parts["process reward model"] for parts in found.moments.values()} == {width * (P + 18)}
    # 16 solutions of 160 tokens: three feed-forward widths of 24, two streams of 8, and a mask of 160 each.
    tokens = 16 * 160
    assert found.rewarding["forward pass of the process reward model"] == width * tokens * (3 * 24 + 2 * 8 + 160)


def test_a_process_reward_model_of_unknown_size_is_said_to_be_left_out(planned: Callable[..., plan.Plan]) -> None:
    found = planned(credit=credit(source="model", model="some/prm"))
    assert "process reward model" not in found.training
    assert any("the process reward model some/prm is not counted" in note for note in found.notes)


def test_log_probabilities_are_asked_for_in_forward_passes_of_a_micro_batch(planned: Callable[..., plan.Plan]) -> None:
    found = planned(credit="contrast")
    # 4 rows: problem 60, instruction 20 and a peer 100 before a rollout of 100. Float32 weights under autocast:
    # per token 3 x 2 x 24 + 2 x 4 x 8, a mask of 2 x 280, both layers' linear maps cast, and one tile of the head.
    tokens = 4 * 280
    expected = tokens * (144 + 64 + 2 * 280) + 2 * 2 * 768 + 400 * 32_768 * 2
    assert found.scoring["forward pass of contrast"] == expected
    # At another temperature the logits of 400 targets are held, and a row of 100 of them twice in float32.
    hot = planned(credit="contrast", trainer={"temperature": 0.7})
    assert hot.scoring["forward pass of contrast"] == expected - 400 * 32_768 * 2 + 400 * 100 * 2 + 100 * 100 * 8
    assert found.training["parameters"] == found.scoring["parameters"] == 4 * P


@pytest.mark.parametrize(("localizer", "before"), [("least_likely", 60), ("likelihood", 60 + 100 + 60)])
def test_localizers_by_likelihood_are_scored(planned: Callable[..., plan.Plan], localizer: str, before: int) -> None:
    auxiliary = {"name": "meta_experience", "settings": {"localizer": localizer}}
    tokens = before + 100
    found = planned(auxiliaries=[auxiliary]).scoring
    head = 400 * 32_768 * 2
    assert found["forward pass of localize"] == 4 * tokens * (144 + 64 + 2 * tokens) + 2 * 2 * 768 + head
    assert planned(auxiliaries=[{"name": "meta_experience"}]).scoring == {}


@pytest.mark.parametrize(
    ("name", "settings", "phase", "without"),
    [
        ("critique_refine", {}, "shape", {"context": "refinement"}),
        ("self_distill", {}, "gate", {"gate": "wrong"}),
        ("suffix_reset", {"localizer": "least_likely"}, "locate", {}),
    ],
)
def test_every_auxiliary_that_asks_for_log_probabilities_is_planned_with_them(
    planned: Callable[..., plan.Plan], name: str, settings: dict[str, Any], phase: str, without: dict[str, Any]
) -> None:
    assert f"forward pass of {phase}" in planned(auxiliaries=[{"name": name, "settings": settings}]).scoring
    assert planned(auxiliaries=[{"name": name, "settings": without}]).scoring == {}


def test_a_reference_model_lies_there_where_beta_asks_for_one(planned: Callable[..., plan.Plan]) -> None:
    assert planned(trainer={"beta": 0.04}).generating["reference model"] == 4 * P
    assert planned(trainer={"beta": 0.04}, layout=FSDP2).generating["reference model"] == 4 * P / 2
    assert "reference model" not in planned().generating
    # An adapter is its own reference when it is off.
    assert "reference model" not in planned(trainer={"beta": 0.04}, model={"path": "x", "lora": {"r": 2}}).training


def test_a_moment_that_does_not_fit_is_named_with_what_to_turn(recipe: Callable[..., Recipe]) -> None:
    big = plan.shape_of("Qwen3-4B-Base")
    trainer = {"use_vllm": True, "vllm_enable_sleep_mode": True, "optim": "adamw_bnb_8bit"}
    with pytest.raises(plan.DoesNotFit) as error:
        plan.estimate(recipe(trainer=trainer, credit=credit(source="implicit")), big, gpus=1, gpu_memory_gib=180)
    assert "GiB while rewarding" in str(error.value)
    assert "lower per_device_train_batch_size (8) or max_completion_length (4096)" in str(error.value)
    console = Console(width=200, file=io.StringIO())
    with console.capture() as capture:
        console.print(plan.render(error.value.plan))
    row = next(line for line in capture.get().splitlines() if "implicit reward model" in line)
    assert row.count(f"{16 * big.parameters / GIB:.2f}") == 3
