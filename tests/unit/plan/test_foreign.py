"""A plan reads what auxiliaries declare: one that it has never heard of, alone and beside another."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from pydantic import Field
from rich.console import Console

from mel import plan
from mel.config import Recipe
from mel.methods import AUXILIARIES, Assumptions, AuxiliarySettings, Expected, Limits, Longest, Needs
from mel.plan import check_context, longest_rows, longest_sequences, parse_layout
from mel.plan.batch import Batch
from mel.plan.numbers import numbers
from mel.plan.states import states
from mel.plan.tokens import tokens_per_step

SHAPE = plan.shape_of("Qwen3-4B-Base")
ONE = parse_layout({"distributed_type": "NO"}, source="one")
CONSTANT = {"kind": "constant", "lambda": 1.0, "every": 0}
VLLM = {"use_vllm": True, "vllm_gpu_memory_utilization": 0.3, "vllm_max_model_length": 16_384}
MEL: dict[str, Any] = {"name": "meta_experience"}
HINT: dict[str, Any] = {"name": "hint"}


class HintSettings(AuxiliarySettings):
    """Two hints per group of at most `max_tokens`; every one is a row after its problem."""

    name: ClassVar[str] = "hint"

    max_tokens: int = Field(default=300, ge=1, description="Limit of a hint.")

    def needs(self, limits: Limits) -> Needs:
        knob = "settings.max_tokens"
        hint = Longest(
            phase="hint",
            prompt=limits.prompt + limits.instruction,
            completion=self.max_tokens,
            knob=knob,
            per_group=2,
        )
        row = Longest(phase="row", prompt=limits.prompt, completion=self.max_tokens, knob=knob, per_group=2)
        return Needs(phases=(hint,), row=row)

    def expected(self, at: Assumptions) -> Expected:
        return Expected(
            generated={"hint": 2 * self.max_tokens},
            read=2 * at.prompt_tokens,
            rows=2.0,
            row_tokens=2 * self.max_tokens,
            row_context=2 * at.prompt_tokens,
            sequences={"hint": 2.0},
        )


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(AUXILIARIES, "hint", HintSettings)


def test_its_phase_and_its_row_are_as_long_as_it_says(recipe: Callable[..., Recipe]) -> None:
    r = recipe(auxiliaries=[HINT])
    found = {x.phase: x.tokens for x in longest_sequences(r, prompt_tokens=1000, instruction_tokens=500)}
    assert found == {"rollout": 1000 + 4096, "hint": 1000 + 500 + 300}
    (row,) = longest_rows(r, prompt_tokens=1000, instruction_tokens=500)
    assert row is not None
    assert (row.phase, row.tokens) == ("row", 1300)


def test_a_hint_that_does_not_fit_names_the_key_that_set_takes(recipe: Callable[..., Recipe]) -> None:
    r = recipe(auxiliaries=[MEL | {"settings": {"max_pair_tokens": 4000}}, HINT | {"settings": {"max_tokens": 32_000}}])
    with pytest.raises(ValueError, match="sequences do not fit") as error:
        check_context(r, SHAPE, prompt_tokens=1000, instruction_tokens=500)
    lines = str(error.value).splitlines()[1:]
    assert len(lines) == 1
    assert "hint: prompt 1500 + completion 32000 = 33500" in lines[0]
    assert "lower auxiliaries.1.settings.max_tokens (the prompt may have 768 tokens)" in lines[0]


def test_two_auxiliaries_add_up(recipe: Callable[..., Recipe]) -> None:
    batch = Batch(processes=1, group_size=8, micro=8, slots=2, accumulation=2)
    at = Assumptions(solution_tokens=1000, prompt_tokens=100, mixed_share=0.5, parsed_share=1.0, kept_share=0.5)
    paper = {"pairs_per_group": 1, "replay_from": "start", "target": "experience", "context": "retrospective"}
    t = tokens_per_step(recipe(auxiliaries=[MEL | {"settings": paper}, HINT]), batch, at)
    # Two groups: one pair of them, one replay, half a row; two hints each.
    assert t.generated == {"rollout": 16_000, "construct": 500, "replay": 1000, "hint": 1200}
    assert t.sequences == {"rollout": 16, "construct": 1, "replay": 1, "hint": 4}
    assert (t.rows, t.row_count) == (0.5 * 500 + 1200, 4.5)
    assert (t.read, t.row_context) == (2100 + 600 + 400, 0.5 * 2100 + 400)
    assert t.generated_ratio == pytest.approx(18_700 / 16_000)


def test_where_one_auxiliary_is_measured_a_gradient_of_each_is_set_aside(recipe: Callable[..., Recipe]) -> None:
    def set_aside(*auxiliaries: dict[str, Any]) -> float:
        r = recipe(auxiliaries=[*auxiliaries])
        return states(r, SHAPE, ONE, numbers(r, ONE)).set_aside

    constant = {"weight": CONSTANT}
    assert set_aside(MEL) == 4 * SHAPE.parameters
    assert set_aside(MEL, HINT | constant) == set_aside(MEL, HINT) == 8 * SHAPE.parameters
    assert set_aside(MEL | constant, HINT | constant) == 0.0


def test_joint_rows_of_two_auxiliaries_keep_their_activations_at_once(recipe: Callable[..., Recipe]) -> None:
    joint = {"weight": CONSTANT, "backward": "joint"}

    def kept(*auxiliaries: dict[str, Any]) -> float:
        r = recipe(trainer=VLLM, auxiliaries=[a | joint for a in auxiliaries])
        return plan.estimate(r, SHAPE, gpus=8, gpu_memory_gib=400).training["activations kept"]

    none, hint, mel = kept(), kept(HINT), kept(MEL)
    # The gradient that waits within the joint pass (bfloat16 under FSDP2) waits once, however many rows there are.
    assert kept(MEL, HINT) - none == pytest.approx((mel - none) + (hint - none) - 2 * SHAPE.parameters)


def test_transformers_generates_the_most_sequences_that_any_phase_has(recipe: Callable[..., Recipe]) -> None:
    sizes = {"num_generations": 2, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 1}
    r = recipe(trainer=sizes | {"max_completion_length": 8}, auxiliaries=[HINT | {"settings": {"max_tokens": 4000}}])
    p = plan.estimate(r, SHAPE, gpus=1, gpu_memory_gib=400, prompt_tokens=100, instruction_tokens=0)
    # Two hints of the one group: 100 + 4000 tokens each, against two rollouts of 108.
    assert p.cache_tokens == 2 * 4100


def test_a_plan_prints_its_phase_its_row_and_the_ratio_under_its_own_name(recipe: Callable[..., Recipe]) -> None:
    console = Console(width=200, file=io.StringIO())
    for auxiliaries, said in (
        ([HINT], ("hint, sampled", "hint prompts, read", "hint / GRPO, sampled")),
        ([MEL, HINT], ("construct and replay and hint prompts, read", "MEL + hint / GRPO, trained", "row of hint")),
    ):
        r = recipe(trainer=VLLM, auxiliaries=auxiliaries)
        with console.capture() as capture:
            console.print(plan.render(plan.estimate(r, SHAPE, gpus=8, gpu_memory_gib=400)))
        out = capture.get()
        assert all(part in out for part in said), out


def test_a_plan_of_the_carrier_alone_names_no_auxiliary(recipe: Callable[..., Recipe]) -> None:
    console = Console(width=200, file=io.StringIO())
    with console.capture() as capture:
        console.print(plan.render(plan.estimate(recipe(trainer=VLLM), SHAPE, gpus=8, gpu_memory_gib=400)))
    out = capture.get()
    assert "rollout, sampled" in out
    assert not any(word in out for word in ("construct", "replay,", "MEL", "rows,"))
