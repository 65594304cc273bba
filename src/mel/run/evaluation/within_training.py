"""Evaluation of the policy being trained: on the suites of its recipe, before, between and after training."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from mel.config import EvaluationSection
from mel.evaluate.evaluation import SEED
from mel.evaluate.result import EvaluationResult
from mel.prepared import Prepared
from mel.record.provenance import fingerprint
from mel.record.run_directory import AFTER, BEFORE, RunDirectory
from mel.run.evaluation.engines import Engine
from mel.run.evaluation.suites import run_suite
from mel.run.evaluation.target import after_training
from mel.types import Sampling


class Evaluator:
    """Evaluates the policy being trained on the suites of its recipe.

    Args:
        directory: where responses and results go, under `evaluations/<when>-<suite>`.
    """

    def __init__(self, prepared: Prepared, directory: RunDirectory, *, console: Console) -> None:
        self._prepared = prepared
        self._directory = directory
        self._console = console
        self.settings: EvaluationSection = prepared.evaluation

    def all_suites(self, when: str, model: Any) -> list[EvaluationResult]:
        """Every suite with all its samples.

        Args:
            when: `before` or `after` training.
        """
        size, name = self.settings.batch_size, self._prepared.name
        # Saved before it is evaluated, so that `mel eval RUN` meets the same weights.
        weights = fingerprint(self._prepared.model_path if when == "before" else str(self._directory.path / "model"))
        return [
            run_suite(
                self._prepared,
                suite,
                self._engine(model),
                out=self._directory.evaluation((BEFORE if when == "before" else AFTER) + suite.section.name),
                batch_size=size,
                model=f"{name} before training" if when == "before" else after_training(name),
                weights=weights,
                console=self._console,
            )
            for suite in self._prepared.suites
        ]

    def is_due(self, step: int) -> bool:
        """Whether the policy is evaluated after that step and its score is not known yet, as it may be to a run that is
        resumed there."""
        every = self.settings.every
        if every is None or step % every:
            return False
        rows = [row for row in self._directory.metrics.read() if row["step"] == step]
        return not any(name.startswith("evaluation/") for row in rows for name in row)

    def greedy(self, model: Any) -> dict[str, float]:
        """Greedy Pass@1 on the first suite, as a metric; nothing is kept of the responses."""
        suite, chat = self._prepared.suites[0], self._prepared.chat
        sampling = Sampling(max_tokens=suite.section.max_tokens, temperature=0.0)
        completions = self._engine(model).generator.generate(
            [chat.chat(suite.ask(p)) for p in suite.problems], sampling
        )
        verdicts = suite.task.verify(suite.problems, [c.text for c in completions])
        return {f"evaluation/{suite.section.name}/pass_at_1": sum(v.is_correct for v in verdicts) / len(verdicts)}

    def _engine(self, model: Any) -> Engine:
        from mel.hosts.local import LocalGenerator

        generator = LocalGenerator(model, self._prepared.tokenizer, batch_size=self.settings.batch_size, seed=SEED)
        return Engine(name=f"transformers {generator.arithmetic}", generator=generator)
