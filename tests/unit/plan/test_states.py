"""States: exactly the bytes of real models and optimizers, and shares worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from mel.config import Recipe
from mel.plan import parse_layout, shape_of
from mel.plan.layout import Layout
from mel.plan.numbers import numbers
from mel.plan.states import States, least_bytes, optimizer_bytes, states

P_4B = shape_of("Qwen3-4B-Base").parameters
AUXILIARY = {"name": "meta_experience"}
CONSTANT = {"kind": "constant", "lambda": 1.0, "every": 0}
ZERO = {"distributed_type": "DEEPSPEED", "num_processes": 8}
FSDP = {"distributed_type": "FSDP", "num_processes": 8, "fsdp_config": {"fsdp_version": 2}}
SYNC = {"accelerator_config": {"gradient_accumulation_kwargs": {"sync_each_batch": True}}}
ONE = Layout(strategy="single", processes=1)


def of(recipe: Recipe, layout: Layout) -> States:
    return states(recipe, shape_of(recipe.model.path), layout, numbers(recipe, layout))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_weights_gradients_and_adam_take_the_bytes_that_a_real_step_takes(
    small_model: Callable[..., Any], recipe: Callable[..., Recipe], dtype: str
) -> None:
    model, shape = small_model()
    model = model.to(getattr(torch, dtype))
    optimizer = torch.optim.AdamW(model.parameters())
    model(input_ids=torch.arange(8)[None], labels=torch.arange(8)[None]).loss.backward()
    optimizer.step()
    r = recipe(model={"path": "x", "dtype": dtype})
    planned = states(r, shape, ONE, numbers(r, ONE))
    assert planned.parameters == sum(p.nbytes for p in model.parameters())
    assert planned.gradients == sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)
    moments = [s for state in optimizer.state.values() for name, s in state.items() if name != "step"]
    assert planned.optimizer == sum(s.nbytes for s in moments)


def test_adapters_of_bfloat16_weights_are_trained_in_float32(
    small_model: Callable[..., Any], recipe: Callable[..., Recipe]
) -> None:
    model, shape = small_model()
    lora = {"r": 4, "target_modules": "all-linear"}
    adapted = get_peft_model(model.to(torch.bfloat16), LoraConfig(**lora, task_type="CAUSAL_LM"))
    trained = [p for p in adapted.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained)
    adapted(input_ids=torch.arange(8)[None], labels=torch.arange(8)[None]).loss.backward()
    optimizer.step()
    r = recipe(model={"path": "x", "dtype": "bfloat16", "lora": lora})
    planned = states(r, shape, ONE, numbers(r, ONE))
    assert planned.parameters == sum(p.nbytes for p in adapted.parameters())
    assert planned.gradients == sum(p.grad.nbytes for p in trained if p.grad is not None)
    moments = [s for state in optimizer.state.values() for name, s in state.items() if name != "step"]
    assert planned.optimizer == sum(s.nbytes for s in moments)


def test_one_process_takes_sixteen_bytes_per_parameter_and_ddp_four_more_for_its_buckets(
    recipe: Callable[..., Recipe],
) -> None:
    one = of(recipe(), ONE)
    assert (one.parameters, one.gradients, one.optimizer) == (4 * P_4B, 4 * P_4B, 8 * P_4B)
    ddp = of(recipe(), parse_layout({"distributed_type": "MULTI_GPU", "num_processes": 8}, source="x"))
    assert (ddp.parameters, ddp.buffers) == (4 * P_4B, 4 * P_4B)


def test_zero_2_keeps_whole_bfloat16_weights_and_an_eighth_of_the_rest(recipe: Callable[..., Recipe]) -> None:
    found = of(recipe(), parse_layout(ZERO | {"deepspeed_config": {"zero_stage": 2}}, source="x"))
    assert found.parameters == 2 * P_4B
    assert found.gradients == 2 * P_4B / 8 + 4 * P_4B / 8
    assert found.optimizer == (4 + 8) * P_4B / 8


def test_zero_3_shards_everything_and_offloading_moves_the_optimizer_to_the_host(recipe: Callable[..., Recipe]) -> None:
    layout = parse_layout(ZERO | {"deepspeed_config": {"zero_stage": 3, "offload_optimizer_device": "cpu"}}, source="x")
    found = of(recipe(), layout)
    assert (found.parameters, found.gradients, found.optimizer) == (2 * P_4B / 8, 2 * P_4B / 8, 0.0)
    assert found.host == pytest.approx((12 + 4) * P_4B)


def test_fsdp2_shards_sixteen_bytes_and_keeps_whole_gradients_unless_it_reduces_each_time(
    recipe: Callable[..., Recipe],
) -> None:
    layout = parse_layout(FSDP, source="x")
    late, early = of(recipe(), layout), of(recipe(trainer=SYNC), layout)
    assert (late.parameters, late.gradients, late.optimizer) == (4 * P_4B / 8, 4 * P_4B / 8, 8 * P_4B / 8)
    assert (late.unsharded, early.unsharded) == (2 * P_4B, 0.0)
    single = of(recipe(trainer={"gradient_accumulation_steps": 1}), layout)
    assert single.unsharded == 0.0
    apart = of(recipe(trainer={"gradient_accumulation_steps": 1}, auxiliaries=[AUXILIARY]), layout)
    assert apart.unsharded == 2 * P_4B


def test_measuring_sets_one_more_gradient_aside(recipe: Callable[..., Recipe]) -> None:
    assert of(recipe(auxiliaries=[AUXILIARY]), ONE).set_aside == 4 * P_4B
    assert of(recipe(auxiliaries=[AUXILIARY | {"weight": CONSTANT}]), ONE).set_aside == 0.0


def test_comparing_what_is_not_measured_holds_the_policys_gradient_too(recipe: Callable[..., Recipe]) -> None:
    compared = {"diagnostics": {"measures": ["gradients"]}}
    assert of(recipe(auxiliaries=[AUXILIARY | {"weight": CONSTANT}], **compared), ONE).set_aside == 2 * 4 * P_4B
    assert of(recipe(auxiliaries=[AUXILIARY], **compared), ONE).set_aside == 4 * P_4B


def test_a_copy_of_the_untrained_policy_is_counted_where_there_must_be_one(recipe: Callable[..., Recipe]) -> None:
    asked = {"diagnostics": {"measures": ["initial_kl"]}}
    assert of(recipe(), ONE).initial == 0.0
    assert of(recipe(**asked), ONE).initial == of(recipe(), ONE).parameters
    assert of(recipe(trainer={"beta": 0.1}, **asked), ONE).initial == 0.0, "the reference is one"
    adapter = {"model": {"path": "Qwen/Qwen3-4B-Base", "lora": {"r": 8, "target_modules": "all-linear"}}}
    assert of(recipe(**adapter, **asked), ONE).initial == 0.0, "the base without its adapter is one"
    offline = {"carrier": {"name": "rft", "settings": {"samples": "initial"}}}
    assert of(recipe(trainer={"beta": 0.1}, **offline), ONE).initial == of(recipe(), ONE).parameters, "to sample from"
    assert of(recipe(**adapter, **offline), ONE).initial == 0.0


def test_what_a_gpu_holds_at_least_is_its_weights_gradients_and_moments(recipe: Callable[..., Recipe]) -> None:
    for processes in (1, 8):
        assert least_bytes(recipe(), "Qwen3-4B-Base", processes=processes) == 16 * P_4B


def test_nothing_is_held_at_least_where_that_is_not_known(recipe: Callable[..., Recipe]) -> None:
    assert least_bytes(recipe(), "somebody/else", processes=1) is None
    for trainer in ({"optim": "lomo"}, {"optim": "paged_adamw_8bit"}, {"use_cpu": True}):
        assert least_bytes(recipe(trainer=trainer), "Qwen3-4B-Base", processes=1) is None


def test_eight_bit_states_take_two_bytes_and_their_scales_except_for_embeddings() -> None:
    # 1,000 weights of which 200 are embeddings: 800 * (2 + 2 * 4 / 256) + 200 * 8
    assert optimizer_bytes("adamw_bnb_8bit", 1000, master=4, embedding=200) == 800 * 2.03125 + 1600
    assert optimizer_bytes("sgd", 1000, master=4) == 0.0


def test_an_optimizer_of_unknown_state_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match=r"adamw_torch_fused.*got 'lomo'"):
        optimizer_bytes("lomo", 1, master=4)
