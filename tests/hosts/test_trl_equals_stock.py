"""Where MEL has nothing to learn, the parameters are those of TRL's own trainer, bit for bit."""

import pytest
import tiny
import torch
from trl import GRPOConfig, GRPOTrainer

from mel.hosts.trl import MELTrainer

LAYOUTS = [
    {"gradient_accumulation_steps": 1},
    {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4},
    {"gradient_accumulation_steps": 1, "steps_per_generation": 2, "num_iterations": 2, "max_steps": 6},
]


def trained(trainer):
    trainer.train()
    return tiny.parameters(trainer)


def assert_same(left, right):
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_mel_with_weight_zero_equals_stock_step_for_step(tmp_path, layout):
    stock = trained(tiny.trainer(GRPOTrainer, tiny.config(tmp_path / "stock", **layout)))
    auxiliary = tiny.RowsFrom(tiny.some_rows, prompts=lambda call: 3)
    args = tiny.config(tmp_path / "mel", mel_weight="constant", mel_lambda=0.0, **layout)
    mel = trained(tiny.mel_trainer(args, auxiliary))
    assert auxiliary.calls > 0
    assert all(len(answers[0]) == 3 for answers in auxiliary.answers)
    assert_same(stock, mel)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_mel_with_no_kept_experience_equals_stock_step_for_step(tmp_path, layout):
    stock = trained(tiny.trainer(GRPOTrainer, tiny.config(tmp_path / "stock", **layout)))
    mel = trained(
        tiny.mel_trainer(tiny.config(tmp_path / "mel", **layout), tiny.RowsFrom(lambda call: [], lambda call: 2))
    )
    assert_same(stock, mel)


def test_mel_measuring_a_zero_share_equals_stock(tmp_path):
    layout = LAYOUTS[1]
    stock = trained(tiny.trainer(GRPOTrainer, tiny.config(tmp_path / "stock", **layout)))
    mel = trained(
        tiny.mel_trainer(tiny.config(tmp_path / "mel", mel_share=0.0, **layout), tiny.RowsFrom(tiny.some_rows))
    )
    assert_same(stock, mel)


def test_the_trainer_takes_a_plain_grpo_configuration_and_nothing_else(tmp_path):
    names = ("per_device_train_batch_size", "num_generations", "max_completion_length", "max_steps", "learning_rate")
    like = tiny.config(tmp_path / "like")
    plain = {name: getattr(like, name) for name in names}
    args = [
        GRPOConfig(
            str(tmp_path / name),
            use_cpu=True,
            bf16=False,
            report_to=[],
            gradient_checkpointing=False,
            disable_tqdm=True,
            **plain,
        )
        for name in ("stock", "mel")
    ]
    stock = trained(tiny.trainer(GRPOTrainer, args[0]))
    mel = tiny.trainer(MELTrainer, args[1])
    mel.train()
    assert_same(stock, tiny.parameters(mel))
    assert any("experience/groups" in line for line in mel.state.log_history)


def test_rows_do_change_the_parameters(tmp_path):
    stock = trained(tiny.trainer(GRPOTrainer, tiny.config(tmp_path / "stock")))
    mel = trained(tiny.mel_trainer(tiny.config(tmp_path / "mel"), tiny.RowsFrom(tiny.some_rows)))
    assert not all(torch.equal(stock[name], mel[name]) for name in stock)
