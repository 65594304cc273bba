"""A method without auxiliaries takes what GRPOTrainer takes; with auxiliaries each refusal says what to write."""

import pytest
import tiny
import torch
from transformers import Qwen3Config, Qwen3ForSequenceClassification, Qwen3MoeConfig, Qwen3MoeForCausalLM
from trl import GRPOConfig

from mel.hosts.trl import MELTrainer, plain_method, problem_of
from mel.hosts.trl.defaults import chat_tokenizer
from mel.hosts.trl.problems import Scored
from mel.types import Sampling


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


def test_a_method_without_auxiliaries_takes_a_reward_model(tmp_path):
    torch.manual_seed(0)
    judge = Qwen3ForSequenceClassification(Qwen3Config(**(tiny.model().config.to_dict() | {"num_labels": 1})))
    trainer = tiny.trainer(
        MELTrainer,
        tiny.config(tmp_path, max_steps=1),
        reward_funcs=judge,
        reward_processing_classes=tiny.tokenizer(),
        method=plain_method(),
    )
    trainer.train()
    # Scores of an untrained model differ from rollout to rollout, and each group has its own lowest.
    assert trainer.state.log_history[0]["reward/groups_mixed"] == 1.0


def test_the_balancing_loss_of_a_mixture_of_experts_is_off_while_an_auxiliary_generates_and_on_again(tmp_path):
    config = Qwen3MoeConfig(
        vocab_size=len(tiny.tokenizer()),
        hidden_size=32,
        intermediate_size=64,
        moe_intermediate_size=16,
        num_experts=4,
        num_experts_per_tok=2,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        output_router_logits=True,
        eos_token_id=1,
        pad_token_id=0,
    )
    trainer = tiny.mel_trainer(tiny.config(tmp_path), tiny.RowsFrom(lambda call: []), model=Qwen3MoeForCausalLM(config))
    # Prompts of different lengths are padded: with router logits on, transformers rejects their mask.
    written = trainer._learner._generator.generate([(5, 6), (5, 6, 7, 8)], Sampling(max_tokens=3))
    assert len(written) == 2
    assert trainer.model.config.output_router_logits


def group_shaped(completions, **_):
    groups = [completions[i : i + 4] for i in range(0, len(completions), 4)]
    return [float(c == max(group, key=str)) for group in groups for c in group] if len(completions) % 4 == 0 else [0.0]


def test_a_reward_function_over_whole_groups_is_named_where_it_judges_replays(tmp_path):
    trainer = tiny.mel_trainer(tiny.config(tmp_path), tiny.RowsFrom(lambda call: []), reward_funcs=group_shaped)
    example = tiny.dataset()[0]
    problem = problem_of(example)
    source = trainer._learner._source
    scored = Scored(
        examples=[example],
        completion_ids=[[5]],
        rewards=[1.0],
        all_rewards=[1.0],
        rewards_per_function=[[1.0]],
    )
    assert [v.is_correct for v in source.of_rollouts(scored, [problem])] == [True]
    with pytest.raises(ValueError, match=r"'group_shaped' on replays: expected 3 values, got 1.*mel_correctness"):
        source.verify([problem] * 3, ["w1", "w2", "w3"])


@pytest.mark.parametrize(("name", "opening"), [("chatml", "<|im_start|>user\nw1"), ("plain", "User: w1")])
def test_a_chat_template_is_asked_for_by_its_name(tmp_path, name, opening):
    args = tiny.config(tmp_path, mel_chat_template=name)
    rendered = chat_tokenizer(args, tiny.tokenizer())._template
    text = tiny.tokenizer().apply_chat_template(
        [{"role": "user", "content": "w1"}], chat_template=rendered, tokenize=False
    )
    assert text.startswith(opening)


def test_a_chat_template_that_is_no_name_is_refused_with_the_names_there_are(tmp_path):
    with pytest.raises(ValueError, match=r"mel_chat_template: expected one of .*chatml.*plain.*; got 'chatlm'"):
        tiny.trainer(MELTrainer, tiny.config(tmp_path, mel_chat_template="chatlm"), model="no/such-model")


def test_a_model_with_nothing_to_train_is_refused(tmp_path):
    frozen = tiny.model().requires_grad_(False)
    with pytest.raises(ValueError, match="no trainable parameter"):
        tiny.trainer(MELTrainer, tiny.config(tmp_path), model=frozen)
