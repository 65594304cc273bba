"""Offline rollouts: they come from the policy before training, everything else from the policy as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import tiny
import torch
from datasets import concatenate_datasets
from peft import LoraConfig

from mel.hosts.trl import MELTrainer
from mel.hosts.trl.defaults import check_method
from mel.methods import Method, check_slots, credit_settings
from mel.methods.auxiliaries.extra_rollouts import ExtraRolloutsSettings
from mel.methods.carriers.rft import RftSettings

ADAPTER = LoraConfig(r=2, lora_alpha=64, target_modules=["q_proj", "v_proj"])
ONE_PROBLEM = concatenate_datasets([tiny.dataset(1)] * 2)  # a batch has room for two


class Heard:
    """A reward of the place in the group that notes the first completion of every batch."""

    __name__ = "heard"

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, completions: Sequence[Any], **_: Any) -> list[float]:
        self.texts.append(completions[0][0]["content"])
        return [float(i % 4 == 0) for i in range(len(completions))]


class AllRight:
    """Whatever is asked; what is learned comes from the reward."""

    def verify(self, problems: Sequence[Any], responses: Sequence[str]) -> list[Any]:
        return [tiny.Verdict(is_correct=True, reason="right") for _ in responses]


def trained(path: Any, samples: Any, *, resume: str | None = None, **more: Any) -> tuple[list[str], list[str], Any]:
    """The most likely completion of the one problem in each batch: as a rollout, and as an auxiliary's."""
    heard = Heard()
    asks = tiny.RowsFrom(lambda call: [], prompts=lambda call: 1)
    settings = RftSettings(samples=samples)
    method = Method(
        carrier=settings.build(None),
        credit=credit_settings("outcome").build(None),
        auxiliaries=(asks,),
        carrier_settings=settings,
    )
    args = tiny.config(path, max_steps=4, top_k=1, learning_rate=5e-2, save_strategy="steps", save_steps=2)
    trainer = tiny.trainer(
        MELTrainer, args, reward_funcs=heard, method=method, train_dataset=ONE_PROBLEM, verifier=AllRight(), **more
    )
    trainer.train(resume_from_checkpoint=resume)
    return heard.texts, [written[0].text for written, *_ in asks.answers], trainer


@pytest.mark.parametrize("more", [{}, {"peft_config": ADAPTER}], ids=["all weights", "an adapter"])
def test_rollouts_are_those_of_the_policy_before_training_and_what_is_asked_is_not(tmp_path: Any, more: Any) -> None:
    rollouts, asked, trainer = trained(tmp_path / "initial", "initial", **more)
    assert len(rollouts) == len(asked) == 4
    assert set(rollouts) == {rollouts[0]}
    assert len(set(asked)) > 1
    current, _, _ = trained(tmp_path / "current", "current", **more)
    assert current[0] == rollouts[0]
    assert len(set(current)) > 1
    resumed, asked_again, other = trained(
        tmp_path / "resumed", "initial", resume=str(tmp_path / "initial" / "checkpoint-2"), **more
    )
    assert (resumed, asked_again) == (rollouts[2:], asked[2:])
    for one, same in zip(trainer.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(one, same)


def test_vllm_which_holds_the_current_weights_is_refused(tmp_path: Any) -> None:
    fields = {"carrier": "rft", "surrogate": "grpo", "credit": "outcome", "settings": [], "has_auxiliaries": False}
    args = tiny.config(tmp_path)
    args.use_vllm = True
    with pytest.raises(ValueError, match=r"'rft' takes its rollouts from the policy before .* set use_vllm to false"):
        check_method(args, samples_initial=True, **fields)
    check_method(args, samples_initial=False, **fields)


def test_a_method_that_would_sample_from_the_current_policy_without_a_word_is_refused() -> None:
    settings = RftSettings(samples="initial")
    parts: dict[str, Any] = {"carrier": settings.build(None), "credit": credit_settings("outcome").build(None)}
    with pytest.raises(ValueError, match=r"'rft': expected its own settings as carrier_settings.* got those of 'grpo'"):
        Method(**parts)
    assert Method(**parts, carrier_settings=settings).needs_initial_policy


def test_an_auxiliary_that_adds_rollouts_of_the_current_policy_is_refused() -> None:
    adding, outcome = [ExtraRolloutsSettings()], credit_settings("outcome")
    with pytest.raises(ValueError, match=r"'extra_rollouts' adds some of the policy as it is"):
        check_slots(RftSettings(samples="initial"), outcome, adding)
    check_slots(RftSettings(), outcome, adding)
