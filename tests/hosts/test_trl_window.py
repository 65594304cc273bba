"""Auxiliaries ask for no more than the model's positions take: said when the trainer is made, with the knob."""

import pytest
import tiny
from datasets import Dataset

from mel.hosts.trl import MELTrainer, plain_method
from mel.hosts.trl.problems import lines_as_steps
from mel.methods import Surroundings, build
from mel.methods.credit.contrast import ContrastSettings
from mel.methods.credit.process_reward import ProcessRewardSettings
from mel.prompts.chat import ChatTokenizer

LONG = [{"role": "system", "content": "w1 " * 60}, {"role": "user", "content": "w2 w3"}]


def trainer(tmp_path, prompts=([{"role": "user", "content": "w2 w3"}],), *, positions=256, **changes):
    model = tiny.model()
    model.config.max_position_embeddings = positions
    rows = Dataset.from_list([{"prompt": list(p) if isinstance(p, list) else p} for p in prompts])
    keywords = changes.pop("keywords", {})
    return tiny.trainer(MELTrainer, tiny.config(tmp_path, **changes), model=model, train_dataset=rows, **keywords)


# tiny's template: a turn is <role> ... <end>, and <assistant> opens the answer. story_counts' construction prompt holds
# two words (`right`, `wrong`), so its bare instruction has 5 tokens; its replay prompt one (`note`), 4 tokens.
# The longest of both is 5. A rollout has 6 tokens at most.
PAIR = 5 + 5 + 2 * 6
"""Prompt of 5 tokens (w2 w3), instruction, two whole solutions."""
REPLAY = 5 + 5 + 100 + 6 + 6
"""Prompt, instruction, M, the kept beginning of y-, an attempt."""


def test_sequences_that_fit_to_the_token_are_taken(tmp_path):
    assert trainer(tmp_path, positions=REPLAY, mel_construct_max_tokens=100)


def test_one_token_more_is_refused_with_the_numbers_and_the_knob(tmp_path):
    with pytest.raises(ValueError) as caught:
        trainer(tmp_path, positions=PAIR + 99, mel_construct_max_tokens=100, mel_filter="none", mel_replay_from="start",
                mel_target="heuristic", mel_context="question")  # fmt: skip
    assert str(caught.value) == (
        "sequences that the method asks for do not fit their context: construct: prompt 22 + completion 100 = 122 "
        "tokens, but the model's max_position_embeddings is 121: lower mel_max_pair_tokens (the prompt may have 21 "
        "tokens)"
    )


def test_a_construction_without_any_room_for_its_prompt_names_its_own_limit(tmp_path):
    with pytest.raises(ValueError, match=r"= 1046 tokens, but .* is 256: lower mel_construct_max_tokens;"):
        trainer(tmp_path)


def test_the_longest_row_counts_with_the_turns_before_its_question(tmp_path):
    short = [{"role": "user", "content": "w2 w3"}]
    # <system> 60 words <end> are 62 tokens more than the short prompt.
    fits = {"mel_construct_max_tokens": 100, "positions": REPLAY + 62}
    assert trainer(tmp_path, [short, LONG, short], **fits)
    with pytest.raises(ValueError, match=rf"replay: prompt {REPLAY + 62 - 6} \+ completion 6"):
        trainer(tmp_path, [short, LONG, short], **fits | {"positions": REPLAY + 61})


def test_a_row_that_does_not_end_with_the_user_is_named_when_the_trainer_is_made(tmp_path):
    ends = [{"role": "user", "content": "w2"}, {"role": "assistant", "content": "w3"}]
    rows = [[{"role": "user", "content": "w1"}], ends]
    with pytest.raises(ValueError, match=r"train_dataset, row 1: prompt: expected .* got the roles user, assistant"):
        trainer(tmp_path, rows, mel_construct_max_tokens=100)
    assert trainer(tmp_path, rows, keywords={"method": plain_method()})


def test_a_stream_of_rows_is_not_read_and_its_prompts_count_as_nothing(tmp_path):
    def made(positions):
        model = tiny.model()
        model.config.max_position_embeddings = positions
        args = tiny.config(tmp_path, mel_construct_max_tokens=100)
        return tiny.trainer(MELTrainer, args, model=model, train_dataset=tiny.dataset().to_iterable_dataset())

    assert made(REPLAY - 5)
    with pytest.raises(ValueError, match=rf"replay: prompt {REPLAY - 11} "):
        made(REPLAY - 6)


def with_credit(credit):
    """GRPO with this credit rule and no auxiliary."""
    chat = ChatTokenizer(tiny.tokenizer())
    at = Surroundings(tokenizer=chat, prompts=tiny.prompts.load("math"), steps=lines_as_steps, rollout_max_tokens=6)
    return {"method": build(credit=credit, at=at)}


def test_continuations_of_a_credit_rule_must_fit_too(tmp_path):
    # A prompt of 5 tokens, a rollout of 6, and a continuation of 50.
    credit = with_credit(ProcessRewardSettings(max_tokens=50))
    assert trainer(tmp_path, positions=61, keywords=credit)
    with pytest.raises(ValueError, match=r"step_values: prompt 11 \+ completion 50 = 61 tokens, .* is 60: lower proc"):
        trainer(tmp_path, positions=60, keywords=credit)


def test_what_a_credit_rule_only_scores_must_fit_the_model(tmp_path):
    # A rollout of 6 tokens behind the prompt of 5 with a peer of 6 in it.
    credit = with_credit(ContrastSettings())
    assert trainer(tmp_path, positions=17, keywords=credit)
    with pytest.raises(ValueError, match=r"contrast: prompt 11 \+ completion 6 = 17 tokens, .* is 16"):
        trainer(tmp_path, positions=16, keywords=credit)


def test_a_credit_rule_of_the_flat_fields_is_named_by_its_field(tmp_path):
    fits = {"positions": 256, "mel_construct_max_tokens": 100, "mel_credit": "process_reward"}
    with pytest.raises(ValueError, match=r"step_values: .* lower mel_credit_settings.max_tokens"):
        trainer(tmp_path, **fits, mel_credit_settings={"max_tokens": 300})


def test_a_prompt_set_without_a_file_that_the_credit_rule_reads_is_refused(tmp_path):
    for name, text in {
        "solve": "{problem}",
        "construct": "{problem} {right} {wrong}",
        "replay": "{problem} {experience}",
    }.items():
        (tmp_path / f"{name}.txt").write_text(text)
    (tmp_path / "sections.toml").write_text("step_reference = '(1)'\n[headings]\nfailure = 'w1'\nheuristic = 'w2'\n")
    with pytest.raises(ValueError, match=r"peer\.txt not found"):
        trainer(tmp_path / "run", mel_prompts=str(tmp_path), mel_credit="contrast")


def test_a_row_may_end_with_another_turn_where_nothing_takes_its_place(tmp_path):
    ends = [{"role": "user", "content": "w2"}, {"role": "assistant", "content": "w3"}]
    assert trainer(tmp_path, [ends], keywords=with_credit(ProcessRewardSettings()))
    with pytest.raises(ValueError, match="got the roles user, assistant"):
        trainer(tmp_path, [ends], keywords=with_credit(ContrastSettings()))
