"""Several trainers in one process, one optimizer step each in turn, so that all see the same machine."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback

Taken = tuple[float, float]
"""Wall seconds and processor seconds of one step."""


class Turns:
    """A rota: one name at a time may run, and the turn passes on at the end of every optimizer step.

    Args:
        names: in the order of the first round; every other round runs in the opposite order.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.taken: dict[str, list[Taken]] = {name: [] for name in names}
        self._waiting = list(names)
        self._next_round: list[str] = []
        self._condition = threading.Condition()
        self._states: dict[str, Any] = {}
        self._began: Taken = (0.0, 0.0)
        self._errors: list[BaseException] = []

    def run(self, trains: Mapping[str, Callable[[], object]]) -> None:
        """Call every function in a thread of its own and wait for all; the first error is raised again."""
        state = _random_state()
        self._states = dict.fromkeys(trains, state)
        threads = [threading.Thread(target=self._thread, args=item) for item in trains.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        _restore(state)
        if self._errors:
            raise self._errors[0]

    def callback(self, name: str) -> TrainerCallback:
        """What a trainer calls at the end of each of its steps."""
        return _StepEnd(self, name)

    def step_ended(self, name: str) -> None:
        """Note what the step took, hand the turn on and wait for the next."""
        wall, cpu = self._began
        self.taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
        self._pass_on(name, comes_back=True)
        self._wait(name)

    def _thread(self, name: str, train: Callable[[], object]) -> None:
        torch.set_num_threads(1)
        self._wait(name)
        try:
            train()
        except BaseException as error:
            self._errors.append(error)
        finally:
            self._pass_on(name, comes_back=False)

    def _wait(self, name: str) -> None:
        with self._condition:
            self._condition.wait_for(lambda: self._waiting[:1] == [name])
        _restore(self._states[name])
        self._began = (time.perf_counter(), time.process_time())

    def _pass_on(self, name: str, *, comes_back: bool) -> None:
        self._states[name] = _random_state()
        with self._condition:
            self._waiting.remove(name)
            if comes_back:
                self._next_round.insert(0, name)
            if not self._waiting:
                self._waiting, self._next_round = self._next_round, []
            self._condition.notify_all()


class _StepEnd(TrainerCallback):
    def __init__(self, turns: Turns, name: str) -> None:
        self._turns = turns
        self._name = name

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._turns.step_ended(self._name)


def _random_state() -> Any:
    return torch.get_rng_state(), random.getstate(), np.random.get_state()


def _restore(state: Any) -> None:
    torch.set_rng_state(state[0])
    random.setstate(state[1])
    np.random.set_state(state[2])
