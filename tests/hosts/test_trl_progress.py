"""What TRL's host tells an observer that follows: every phase of a step, and how much of it is done."""

import itertools

import pytest
import tiny
from peft import LoraConfig

from mel.ports import StepProgress


class Follows:
    def __init__(self):
        self.told: list[StepProgress] = []

    def on_outcome(self, step, outcome, groups):
        pass

    def on_metrics(self, step, metrics):
        pass

    def on_progress(self, progress):
        self.told.append(progress)


LORA = LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"])


@pytest.mark.parametrize("adapter", [None, LORA], ids=["all weights", "an adapter"])
def test_every_phase_is_told_with_the_tokens_and_micro_batches_that_are_done(tmp_path, adapter):
    follows = Follows()
    auxiliary = tiny.RowsFrom(tiny.some_rows, prompts=lambda call: 3)
    args = tiny.config(tmp_path, max_steps=2, gradient_accumulation_steps=2, per_device_train_batch_size=4)
    tiny.mel_trainer(args, auxiliary, observer=follows, peft_config=adapter).train()
    assert [step for step, _ in itertools.groupby(told.step for told in follows.told)] == [1, 2]
    for step in (1, 2):
        of_step = [told for told in follows.told if told.step == step]
        phases = [phase for phase, _ in itertools.groupby(told.phase for told in of_step)]
        assert phases == ["rollout", "construct", "replay", "verify", "update"]
        # At most as many tokens as the sampling allows; generation ends when all sequences have ended.
        for phase, sequences, most in (("rollout", 8, 6), ("construct", 3, 4), ("replay", 3, 5)):
            tokens = [told for told in of_step if told.phase == phase and told.unit == "token"]
            assert [told.done for told in tokens] == [*range(1, len(tokens) + 1)]
            assert 1 <= len(tokens) <= most
            assert {(told.total, told.sequences) for told in tokens} == {(most, sequences)}
        updates = [(told.unit, told.done, told.total) for told in of_step if told.phase == "update"]
        assert updates == [("micro-batch", 1, 2), ("micro-batch", 2, 2)]
