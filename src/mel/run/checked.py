"""A wrapper around a task that reports when its verifier fails."""

from __future__ import annotations

from collections.abc import Sequence

from mel.ports import Verifier
from mel.types import Problem, Verdict


class CheckedVerifier:
    """The same verdicts; an exception or a wrong number of them ends the run with the task named.

    A response that cannot be judged is a `Verdict` with a reason. An exception is a fault of the task: counting it
    as wrong would train on noise.
    """

    def __init__(self, name: str, verifier: Verifier) -> None:
        self._name = name
        self._verifier = verifier

    def verify(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Verdict]:
        """One verdict per response, in order.

        Raises:
            ValueError: the task's verifier raised, or did not answer every response.
        """
        try:
            verdicts = self._verifier.verify(problems, responses)
        except Exception as error:
            ids = ", ".join(sorted({p.id for p in problems})[:3])
            raise ValueError(
                f"task {self._name}: its verifier raised {type(error).__name__}: {error} (problems {ids}, ...). "
                "A verifier answers every response with a Verdict; catch what a response can cause and say so in its "
                "reason"
            ) from error
        if len(verdicts) != len(responses):
            raise ValueError(
                f"task {self._name}: expected {len(responses)} verdicts, one per response and in order; got "
                f"{len(verdicts)}"
            )
        return verdicts
