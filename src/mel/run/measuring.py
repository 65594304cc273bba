"""How long the prompts of a recipe are under its own tokenizer, for a plan: by the same words as in the run itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from mel import prompts
from mel.config import Recipe
from mel.run.prepare import files_read, model_directory, prepare_evaluation
from mel.run.refusals import longest_instruction


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptLengths:
    """Tokens of what the recipe asks, chat template included.

    Args:
        problems: of the training set, all of which were measured.
        longest, mean: of the prompts that ask for a solution.
        instruction: the longest instruction that its parts read, with nothing filled in.
    """

    problems: int
    longest: int
    mean: float
    instruction: int


def measure_prompts(recipe: Recipe) -> PromptLengths:
    """The lengths for the whole training set.

    Raises:
        ValueError: the model's tokenizer or the data is not in reach, or a part refuses the recipe.
    """
    path = model_directory(recipe.model.path)
    if not Path(path).expanduser().is_dir():
        raise ValueError(f"the tokenizer of {path} is not on this machine")
    prepared = prepare_evaluation(recipe.with_suites([]), reads_training_set=True)
    if not prepared.problems:
        raise ValueError("the training set holds no problem")
    read = files_read(recipe)
    prompt_set = prompts.load(prepared.prompt_set.name, read)
    lengths = [len(prepared.chat.chat(prepared.ask(problem))) for problem in prepared.problems]
    return PromptLengths(
        problems=len(lengths),
        longest=max(lengths),
        mean=fmean(lengths),
        instruction=longest_instruction([prompt_set.bare(name) for name in read], prepared.chat),
    )
