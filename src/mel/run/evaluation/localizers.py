"""How a model is asked for the first wrong step of a solution, and what its answer says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mel.evaluate.evaluation import Responder
from mel.evaluate.step_errors import NO_ERROR, SEPARATOR, LabelledSolution, pair_of
from mel.methods import Surroundings, drive
from mel.methods.location import blamed_step, located
from mel.ports import Tokenizer
from mel.prompts import PromptSet
from mel.prompts.ask import conversation
from mel.run.evaluation.engines import Engine
from mel.stages.experience import construction_turn, numbered
from mel.stages.localize import Localizer, agreed, first_difference
from mel.stages.novel_value import novel_value
from mel.tasks.segmentation import prose_steps
from mel.types import Completion, Pair, Problem, Sampling, TokenIds, Verdict

READING: tuple[Localizer, ...] = ("critique", "agreement")
"""Localizers whose model answers in text."""

SCORING: tuple[Localizer, ...] = ("likelihood", "least_likely")
"""Localizers that read the model's log-probabilities; nothing is generated."""

Read = Callable[[str, LabelledSolution], int | None]
"""The number of the step that an answer names, `NO_ERROR`, or None if it cannot be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asking:
    """A localizer that asks a model.

    Args:
        prompts: with `construct.txt`, or with `locate.txt` where the solution stands alone.
        in_view: whether the model sees the right solution.
    """

    localizer: Localizer
    prompts: PromptSet
    chat: Tokenizer
    in_view: bool

    @property
    def name(self) -> str:
        """What tells responses from those that were asked for in another way."""
        view = "" if self.in_view else ", alone"
        return f"{self.localizer}{view}: {self.prompts.name}@{self.prompts.sha256[:12]}"

    def prompt_ids(self, one: LabelledSolution) -> TokenIds:
        """What the model is given to read, for log-probabilities the solution with all that stands before it."""
        if self.localizer in SCORING:
            return self._longest_scored(one)
        if self.in_view:
            turn = construction_turn(pair_of(one), self.prompts)
        else:
            pair = pair_of(one)
            solution = numbered(pair.wrong.text, pair.wrong_steps, label=self.prompts.sections.step_label)
            turn = self.prompts.turn("locate", problem=one.problem, solution=solution)
        return self.chat.chat(conversation((), turn))

    def _longest_scored(self, one: LabelledSolution) -> TokenIds:
        pair, question = self._pair(one), self.prompts.solve(one.problem)
        turns = conversation((), question)
        if self.localizer == "likelihood":
            turns = conversation([*turns, {"role": "assistant", "content": pair.right.text}], question)
        return self.chat.chat(turns) + pair.wrong.token_ids

    def _pair(self, one: LabelledSolution) -> Pair:
        """The pair in tokens, with a separator that the tokenizer gives back, so that steps lie where they seem to."""
        encoded = {s: self.chat.encode(s.join(one.steps)) for s in (SEPARATOR, " ")}
        kept = (s for s, ids in encoded.items() if self.chat.decode(ids) == s.join(one.steps))
        separator = next(kept, SEPARATOR)
        prompt_ids = self.chat.chat(conversation((), self.prompts.solve(one.problem)))
        return pair_of(one, prompt_ids=prompt_ids, token_ids=encoded[separator], separator=separator)

    def responder(
        self, engine: Engine, solutions: Mapping[str, LabelledSolution], prompt_ids: Mapping[str, TokenIds]
    ) -> Responder:
        """What answers: the engine, or forward passes whose answer is the bare number."""

        def generated(ids: Sequence[str], sampling: Sampling) -> list[Completion]:
            return engine.generator.generate([prompt_ids[one] for one in ids], sampling)

        def scored(ids: Sequence[str], sampling: Sampling) -> list[Completion]:
            pairs = [self._pair(solutions[one]) for one in ids]
            at = Surroundings(
                tokenizer=self.chat, prompts=self.prompts, steps=prose_steps, rollout_max_tokens=sampling.max_tokens
            )
            requests = located(pairs, self.localizer, at, step=0, phase="localize")
            numbers = drive(requests, engine.generator, Judge(solutions, self.read), engine.scorer)
            return [Completion(token_ids=(), text=str(number or NO_ERROR)) for number in numbers]

        return scored if self.localizer in SCORING else generated

    def read(self, answer: str, one: LabelledSolution) -> int | None:
        """The step that the answer names; None for none, and for one that the solution does not have."""
        number = int(answer) if self.localizer in SCORING else blamed_step(answer, self.prompts.sections)
        if number is None or not NO_ERROR <= number <= len(one.steps):
            return None
        if self.localizer == "agreement" and number != NO_ERROR:
            pair = pair_of(one)
            return agreed(number, first_difference(pair), novel_value(pair))
        return number


class Judge:
    """Fills `mel.ports.Verifier`: an answer is right that names the first wrong step, or none where none is wrong.

    The detail of a verdict is the number that was read.
    """

    def __init__(self, solutions: Mapping[str, LabelledSolution], read: Read) -> None:
        self._solutions = solutions
        self._read = read

    def verify(self, problems: Sequence[Problem], responses: Sequence[str]) -> list[Verdict]:
        """One verdict per response, in order."""
        found = [self._solutions[problem.id] for problem in problems]
        return [_judged(self._read(text, one), one) for one, text in zip(found, responses, strict=True)]


def number_in(detail: str) -> int | None:
    """The number in a verdict's detail; None if no answer could be read."""
    return int(detail) if detail else None


def _judged(number: int | None, one: LabelledSolution) -> Verdict:
    if number is None:
        return Verdict(is_correct=False, reason="no_readable_step")
    return Verdict(is_correct=number == one.first_wrong, reason=_reason(number, one), detail=str(number))


def _reason(number: int, one: LabelledSolution) -> str:
    if number == one.first_wrong:
        return "right"
    if number == NO_ERROR:
        return "error_missed"
    if not one.is_wrong:
        return "error_seen_in_right"
    return "too_early" if number < one.first_wrong else "too_late"
