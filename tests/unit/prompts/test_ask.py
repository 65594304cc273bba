"""How a problem is put to the model: one port, and a system prompt or retrieved experiences as other fillings."""

from __future__ import annotations

from collections.abc import Sequence

from mel import prompts
from mel.evaluate.training_data import prompt_lengths
from mel.hosts.trl.problems import example_of, problem_of
from mel.ports import Ask
from mel.prompts.ask import PlainAsk
from mel.run.refusals import longest_prompt
from mel.types import Message, Problem, TokenIds

MATH = prompts.load("math")
PROBLEM = Problem(id="p", text="What is 2 + 2?", answer="4")
SYSTEM = {"role": "system", "content": "Be brief."}


class Words:
    """A token per word of every turn."""

    def chat(self, messages: Sequence[Message]) -> TokenIds:
        return tuple(range(sum(len(turn["content"].split()) for turn in messages)))

    def encode(self, text: str) -> TokenIds:
        return tuple(range(len(text.split())))

    def decode(self, token_ids: Sequence[int]) -> str:
        return " ".join(map(str, token_ids))

    def token_index(self, token_ids: Sequence[int], char: int) -> int:
        return char


class WithExperience:
    """Puts an experience that was found for the problem before it."""

    name = "math with experiences"

    def __call__(self, problem: Problem) -> list[Message]:
        return [{"role": "user", "content": MATH.replay(problem.text, f"heuristic for {problem.id}")}]


def test_a_problem_is_asked_by_the_instruction_of_the_prompt_set() -> None:
    ask = PlainAsk(prompts=MATH)
    assert ask(PROBLEM) == [{"role": "user", "content": MATH.solve("What is 2 + 2?")}]
    assert ask.name == f"math@{MATH.sha256[:12]}"


def test_a_system_prompt_and_solved_examples_come_first() -> None:
    example = ({"role": "user", "content": "What is 1 + 1?"}, {"role": "assistant", "content": "\\boxed{2}"})
    asked = PlainAsk(prompts=MATH, opening=(SYSTEM, *example))(PROBLEM)
    assert [turn["role"] for turn in asked] == ["system", "user", "assistant", "user"]
    assert asked[-1] == PlainAsk(prompts=MATH)(PROBLEM)[-1]


def test_length_checks_count_every_turn_of_what_is_asked() -> None:
    plain = longest_prompt([PROBLEM], PlainAsk(prompts=MATH), Words())
    opened = PlainAsk(prompts=MATH, opening=(SYSTEM,))
    # "Be brief." is two words.
    assert longest_prompt([PROBLEM], opened, Words()) == prompt_lengths([PROBLEM], Words(), opened).longest == plain + 2


def test_what_is_asked_with_an_experience_becomes_the_prompt_of_a_dataset_row() -> None:
    ask: Ask = WithExperience()
    row = example_of(PROBLEM, ask(PROBLEM))
    assert "heuristic for p" in row["prompt"][-1]["content"]
    assert problem_of(row) == PROBLEM
