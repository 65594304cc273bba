"""Auxiliaries ask for no more than the model's positions take: said when the trainer is made, with the knob."""

import pytest
import tiny
from datasets import Dataset

from mel.hosts.trl import MELTrainer, plain_method

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
        "sequences of the auxiliaries do not fit their context: construct: prompt 22 + completion 100 = 122 tokens, "
        "but the model's max_position_embeddings is 121: lower mel_max_pair_tokens (the prompt may have 21 tokens)"
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
