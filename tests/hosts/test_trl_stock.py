"""A method without auxiliaries takes what GRPOTrainer takes; with auxiliaries each refusal says what to write."""

import pytest
import tiny
from trl import GRPOConfig

from mel.hosts.trl import MELTrainer, plain_method, problem_of


def test_a_method_without_auxiliaries_takes_plain_prompts_and_a_tokenizer_without_a_template(tmp_path):
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = None
    trainer = MELTrainer(
        model=tiny.model(),
        reward_funcs=lambda completions, **_: [float(i % 4 == 0) * 0.1 for i in range(len(completions))],
        args=tiny.config(tmp_path, max_steps=1),
        train_dataset=tiny.dataset().map(lambda row: {"prompt": row["prompt"][0]["content"]}),
        processing_class=tokenizer,
        method=plain_method(),
    )
    trainer.train()
    # One of each four rewards stands out, and none exceeds mel_right_above.
    assert trainer.state.log_history[0]["reward/groups_mixed"] == 1.0


def test_a_reward_model_is_refused_before_a_model_is_loaded():
    with pytest.raises(ValueError, match=r"pass `verifier=`.*plain_method"):
        MELTrainer(model="no/such-model", reward_funcs="no/such-reward-model")


def test_rows_with_the_same_id_are_judged_by_their_own_answers(tmp_path):
    def says_answer(completions, answer, **_):
        return [float(a in c[0]["content"].split()) for c, a in zip(completions, answer, strict=True)]

    auxiliary = tiny.RowsFrom(lambda call: [])
    rows = tiny.dataset().map(lambda row: {"id": "same"})
    trainer = tiny.mel_trainer(
        tiny.config(tmp_path, max_steps=1), auxiliary, reward_funcs=says_answer, train_dataset=rows
    )
    trainer.train()
    first, second = (group.problem for group in auxiliary.groups[0])
    found = trainer._learner._source.verify([first, second], [first.answer, first.answer])
    assert [v.is_correct for v in found] == [True, False]


@pytest.mark.parametrize(("value", "expected"), [("a note", {"metadata": "a note"}), (7, {"metadata": 7})])
def test_a_metadata_column_of_the_users_own_is_kept(value, expected):
    assert problem_of({"prompt": "p", "metadata": value}).metadata == expected


def test_a_method_without_auxiliaries_takes_steps_that_span_generation_batches(tmp_path):
    args = GRPOConfig(
        output_dir=str(tmp_path),
        per_device_train_batch_size=4,
        num_generations=4,
        steps_per_generation=3,
        gradient_accumulation_steps=2,
        max_completion_length=4,
        max_steps=2,
        use_cpu=True,
        bf16=False,
        report_to=[],
        save_strategy="no",
    )
    trainer = tiny.trainer(MELTrainer, args, method=plain_method())
    trainer.train()
    assert trainer.state.global_step == 2
    with pytest.raises(ValueError, match=r"steps_per_generation \(3\).*plain_method"):
        tiny.trainer(MELTrainer, args, model="no/such-model")


def test_a_method_without_auxiliaries_takes_groups_that_ranks_share(tmp_path, monkeypatch):
    # Two ranks of 6 rollouts hold one and a half groups of 4 each: TRL's own advantages need no whole group here.
    monkeypatch.setattr(GRPOConfig, "world_size", property(lambda self: 2))
    args = tiny.config(tmp_path, per_device_train_batch_size=6)
    assert tiny.trainer(MELTrainer, args, method=plain_method()).args.num_generations == 4
    with pytest.raises(ValueError, match=r"a group of rollouts would be split over ranks.*\(6\)"):
        tiny.trainer(MELTrainer, args, method=plain_method("rloo"))
