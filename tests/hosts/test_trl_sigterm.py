"""A signal is never lost, whenever it comes."""

import os
import signal

import tiny
from transformers import TrainerControl, TrainerState

from mel.hosts.trl.stepwise import SaveOnSigterm


class SignalledWhileRanksAgree:
    """Arguments of a process that gets SIGTERM after it has said that it got none."""

    @property
    def world_size(self):
        os.kill(os.getpid(), signal.SIGTERM)
        return 1


def test_a_signal_that_comes_while_the_ranks_agree_stops_the_next_step(tmp_path):
    callback, state, args = SaveOnSigterm(), TrainerState(), tiny.config(tmp_path)
    former = signal.getsignal(signal.SIGTERM)
    callback.on_train_begin(args, state, TrainerControl())
    try:
        during = callback.on_step_end(SignalledWhileRanksAgree(), state, TrainerControl())
        after = callback.on_step_end(args, state, TrainerControl())
    finally:
        callback.on_train_end(args, state, TrainerControl())
    assert (during.should_training_stop, during.should_save) == (False, False), "the others were told that it goes on"
    assert (after.should_training_stop, after.should_save) == (True, True)
    assert callback.is_asked
    assert signal.getsignal(signal.SIGTERM) is former
