"""A process reward model as TRL's PRMTrainer leaves it: what it reads, where it is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny import model, tokenizer
from transformers import Qwen3ForTokenClassification

from mel.hosts.reward_model import TokenClassifier, rater_of
from mel.methods import RewardModel
from mel.requests import Rate
from mel.types import Problem

PROBLEM = Problem(id="p", text="w1 w2", answer="w9")


def saved(path: Path, *, num_labels: int = 2, bos: str | None = None) -> str:
    torch.manual_seed(3)
    config = model().config
    config.num_labels = num_labels
    Qwen3ForTokenClassification(config).save_pretrained(path)
    fast = tokenizer()
    fast.bos_token = bos
    fast.save_pretrained(path)
    return str(path)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> TokenClassifier:
    path = saved(tmp_path_factory.mktemp("prm"))
    return TokenClassifier(RewardModel(path=path, separator="w30 w31"))


def test_a_row_is_the_problem_and_each_step_with_the_separator_behind_it(classifier: TokenClassifier) -> None:
    # Word k has id 5 + k: problem 6 7; step 8 with separator 35 36; step 9 10 with the same.
    assert classifier.laid_out("w1 w2", ["w3 ", "\nw4 w5"]) == ([6, 7, 8, 35, 36, 9, 10, 35, 36], [4, 8])


def test_a_beginning_of_sequence_stands_before_the_problem(tmp_path: Path) -> None:
    prm = TokenClassifier(RewardModel(path=saved(tmp_path, bos="<user>"), separator="w30"))
    assert prm.laid_out("w1", ["w3"]) == ([3, 6, 8, 35], [3])


def test_steps_are_rated_as_the_model_rates_each_solution_alone(classifier: TokenClassifier) -> None:
    solutions = (("w3", "w4 w5"), ("w6",), ("w7 w8 w9", "w1", "w2"), ())
    found = classifier.rate(Rate(problems=(PROBLEM,) * 4, solutions=solutions))
    assert [len(ratings) for ratings in found] == [2, 1, 3, 0]
    for ratings, steps in zip(found, solutions, strict=True):
        ids, ends = classifier.laid_out(PROBLEM.text, steps)
        with torch.no_grad():
            logits = classifier._model(input_ids=torch.tensor([ids])).logits[0]
        expected = [torch.sigmoid(logits[end, 1] - logits[end, 0]).item() for end in ends]
        assert ratings == pytest.approx(expected, abs=1e-5)


def test_a_model_with_another_number_of_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected two classes, wrong and right, .* got 3"):
        TokenClassifier(RewardModel(path=saved(tmp_path, num_labels=3), separator="w30"))


def test_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"process reward model .*nowhere: "):
        rater_of(RewardModel(path=str(tmp_path / "nowhere"), separator="w30"), "cpu")
    assert rater_of(None, "cpu") is None


def test_a_solution_that_does_not_fit_is_refused_with_the_numbers(classifier: TokenClassifier) -> None:
    long = " ".join(["w3"] * 4100)
    with pytest.raises(ValueError, match=r"has 4096 positions, and .* takes 4104 of its tokens: lower trainer\.max"):
        classifier.rate(Rate(problems=(PROBLEM,), solutions=((long,),)))
