"""A run that learns nothing says so, once, and what to turn."""

import re

import pytest
import tiny

from mel.hosts.trl import MELTrainer


@pytest.mark.parametrize(
    ("reward", "expected"),
    [
        (tiny.constant, "^nothing was learned in 10 generation batches: no group .*mean reward 1.00.*num_generations"),
        # A random model writes nothing that could be an experience.
        (tiny.odd_first_word, "^meta_experience: nothing was learned in 10 generation batches: "),
    ],
)
def test_a_run_in_which_nothing_is_learned_warns_once_with_the_reason(tmp_path, caplog, reward, expected):
    args = tiny.config(tmp_path, max_steps=14, learning_rate=0.0, max_completion_length=3, mel_construct_max_tokens=4)
    trainer = tiny.trainer(MELTrainer, args, reward_funcs=reward)
    trainer.train()
    warned = [r.getMessage() for r in caplog.records if r.name == "mel.hosts.trl.learner"]
    assert len(warned) == 1
    assert re.search(expected, warned[0])
