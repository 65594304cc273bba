"""An auxiliary that gathers batches: a resumed run finds what waited, and equals one that nobody disturbed."""

import pytest
import tiny
import torch

from mel.types import Row, Verdict

SAVING = {"save_strategy": "steps", "save_steps": 3}


class Learns(tiny.RowsFrom):
    """A row for each of four completions, about as many of the groups that it was given."""

    settings = tiny.EverySecond()

    def __init__(self):
        super().__init__(lambda call: [], prompts=lambda call: 4)

    def learn(self, groups, *, step):
        outcome = yield from super().learn(groups, step=step)
        rows = [
            Row(context_ids=group.prompt_ids, target_ids=completion.token_ids)
            for group, completion in zip(groups, self.answers[-1][1], strict=False)
        ]
        return type(outcome)(rows=tuple(rows), counts=outcome.counts)


class OddFirstWord:
    """Right if the first word has an odd number, as `tiny.odd_first_word` rewards it."""

    def verify(self, problems, responses):
        rewards = tiny.odd_first_word([[{"content": response}] for response in responses])
        return [Verdict(is_correct=bool(r), reason="right" if r else "wrong") for r in rewards]


def start(path, steps=5, *, verifier=OddFirstWord(), **layout):  # noqa: B008
    args = tiny.config(path, max_steps=steps, **SAVING, **layout)
    return tiny.mel_trainer(args, Learns(), verifier=verifier)


@pytest.mark.parametrize("layout", [{}, {"steps_per_generation": 2}], ids=["a batch a step", "a batch for two steps"])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, layout):
    whole = start(tmp_path / "whole", **layout)
    whole.train()
    resumed = start(tmp_path / "resumed", **layout)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-3"))
    left, right = tiny.parameters(whole), tiny.parameters(resumed)
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_four_groups_of_two_batches_are_learned_in_two_steps(tmp_path):
    trainer = start(tmp_path, steps=4)
    trainer.train()
    logged = [row for row in trainer.state.log_history if "reward/mean" in row]
    assert [row["rows/real"] for row in logged] == [0, 2, 2, 2]
    assert [row["rows_from/waiting/groups"] for row in logged] == [2, 0, 2, 0]
    assert [row["rows_from/waiting/rows"] for row in logged] == [0, 2, 0, 2]


def test_what_waits_is_not_handed_to_other_processes(tmp_path):
    start(tmp_path, steps=3).train()
    state = tmp_path / "checkpoint-3" / "mel_state.json"
    state.write_text(state.read_text().replace('"processes": 1', '"processes": 2'))
    with pytest.raises(ValueError, match=r"expected mel_waiting_0\.pt of 1 processes, .*; it was written by 2"):
        start(tmp_path / "resumed").train(resume_from_checkpoint=str(state.parent))


def test_a_reward_function_that_reads_rows_of_the_data_set_cannot_judge_earlier_batches(tmp_path):
    with pytest.raises(ValueError, match="'rows_from' gathers batches, whose answers a reward function cannot judge"):
        start(tmp_path, verifier=None)
