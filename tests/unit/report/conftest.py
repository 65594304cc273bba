"""Run directories as training leaves them, written through the real record, task and stages."""

import random
import shutil
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hostile import HOSTILE, hostile

from mel import prompts
from mel.evaluate.evaluation import evaluate
from mel.methods.auxiliaries.meta_experience.ledger import truth_of
from mel.prompts.ask import PlainAsk
from mel.record import ExperienceStore, RunDirectory
from mel.stages.experience import parse_experience
from mel.stages.pairs import select_pairs
from mel.stages.replay import judge, rejected
from mel.tasks.story_counts import MEANINGS, TRUE_MEANING, Story, StoryCounts, misconceptions, read, solution_text
from mel.types import (
    Candidate,
    Completion,
    Group,
    MetaExperience,
    Pair,
    Problem,
    Replayed,
    Rollout,
    Sampling,
    TokenIds,
)

WORLD = misconceptions(0)
RATES = ("retention", "localization", "rule_truth", "leak_rate")
PROMPTS = prompts.load("story_counts")


class Words:
    """One token per word."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._words: list[str] = []

    def chat(self, messages: Sequence[dict[str, str]]) -> TokenIds:
        return self.encode(messages[-1]["content"])

    def encode(self, text: str) -> TokenIds:
        for word in text.split():
            if word not in self._ids:
                self._ids[word] = len(self._words)
                self._words.append(word)
        return tuple(self._ids[w] for w in text.split())

    def decode(self, token_ids: Sequence[int]) -> str:
        return " ".join(self._words[i] for i in token_ids)

    def token_index(self, token_ids: Sequence[int], char: int) -> int:
        return len(self.decode(token_ids)[:char].split())


class Pupil:
    """Solves stories: reads a misconceived verb right with probability `skill`."""

    def __init__(self, skill: float, seed: int, tokenizer: Words) -> None:
        self.skill, self.rng, self.tokenizer = skill, random.Random(seed), tokenizer

    def generate(self, prompts: Sequence[TokenIds], sampling: Sampling) -> list[Completion]:
        return [self._complete(self.solve(self.tokenizer.decode(p))) for p in prompts]

    def solve(self, text: str) -> str:
        rng = self.rng
        story = Story.parse(text)
        wrong = {v: m for v, m in WORLD.items() if rng.random() > self.skill}
        return solution_text(read(story, lambda verb, _: wrong.get(verb, TRUE_MEANING[verb])))

    def _complete(self, text: str) -> Completion:
        return Completion(token_ids=self.tokenizer.encode(text), text=text)


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a run once; a test gets a copy, which it may change."""
    root = tmp_path_factory.mktemp("written")

    @cache
    def once(name: str, **made: Any) -> Path:
        return write_run(root / str(once.cache_info().currsize), name, **made)

    return once


@pytest.fixture
def make_run(tmp_path: Path, written: Callable[..., Path]) -> Callable[..., Path]:
    def make(
        name: str = "grpo", *, seed: int = 0, steps: int = 8, gain: float = 0.4, mel: bool = True, state="finished"
    ) -> Path:
        run = written(name, seed=seed, steps=steps, gain=gain, mel=mel, state=state)
        return shutil.copytree(run, tmp_path / f"{name}-s{seed}")

    return make


def write_run(path: Path, name: str, *, seed: int, steps: int, gain: float, mel: bool, state: str = "finished") -> Path:
    recipe = {
        "name": name,
        "model": {"path": "miniature:0"},
        "task": {"name": "story_counts", "options": {"length": 5}},
        "auxiliaries": [{"name": "meta_experience", "weight": {"kind": "grad_norm", "share": 3.0}}] if mel else [],
        "trainer": {"seed": seed, "max_steps": steps, "learning_rate": 2e-4},
        "output": {"path": str(path)},
    }
    environment = {"mel": "0.1.0", "commit": "1f2e3d4c", "python": "3.11.7", "torch": "2.13.0", "cores": 2}
    environment["rates"] = {"experience": list(RATES)} if mel else {}
    task, tokenizer, rng = StoryCounts(length=5), Words(), random.Random(seed)
    with RunDirectory.create(path, recipe, environment) as run:
        generated, seconds = 0.0, 0.0
        for step in range(1, steps + 1):
            pupil = Pupil(0.2 + gain * step / steps, seed * 1000 + step, tokenizer)
            groups = [_group(p, pupil, task) for p in task.problems("train", 8)]
            replayed = _experiences(groups, pupil, task, rng) if mel else []
            run.experiences.write_step(step, replayed)
            tokens = {
                "tokens/rollout": float(sum(len(r.token_ids) for g in groups for r in g.rollouts)),
                "tokens/construct": float(sum(len(r.candidate.completion.token_ids) for r in replayed)),
                "tokens/replay": float(sum(len(a.completion.token_ids) for r in replayed for a in r.attempts)),
            }
            generated += sum(tokens.values())
            seconds += 0.5 + 0.01 * len(replayed) + 0.05 * rng.random()
            run.metrics.append(step, tokens | _metrics(groups, replayed, rng, generated, seconds))
        for suite, length in (("heldout", 5), ("heldout-l8", 8)):
            test = StoryCounts(length=length)
            final = Pupil(0.2 + gain, seed, tokenizer)
            evaluate(
                test.problems("test", 32), test, final, tokenizer, PlainAsk(prompts=PROMPTS),
                out=run.evaluation(f"after-{suite}"), max_tokens=64, k=8, temperature=1.0, model=str(path),
            )  # fmt: skip
        run.set_status(state, step=steps)  # type: ignore[arg-type]
    return path


def _group(problem: Problem, pupil: Pupil, task: StoryCounts) -> Group:
    texts = [pupil.solve(problem.text) for _ in range(8)]
    verdicts = task.verify([problem] * 8, texts)
    rollouts = tuple(
        Rollout(token_ids=pupil.tokenizer.encode(t), text=t, verdict=v, reward=float(v.is_correct))
        for t, v in zip(texts, verdicts, strict=True)
    )
    return Group(problem=problem, prompt_ids=pupil.tokenizer.encode(problem.text), rollouts=rollouts)


def _experiences(groups: Sequence[Group], pupil: Pupil, task: StoryCounts, rng: random.Random) -> list[Replayed]:
    pairs = [p for g in groups for p in select_pairs(g, task.steps, per_group=1, choose="random", rng=rng).pairs]
    return [_replayed(pair, pupil, task, rng) for pair in pairs]


def _replayed(pair: Pair, pupil: Pupil, task: StoryCounts, rng: random.Random) -> Replayed:
    true = task.first_error(pair.problem, pair.wrong.text) or 1
    number = true if rng.random() < 0.6 else rng.randrange(1, len(pair.wrong_steps) + 1)
    verb, said = Story.parse(pair.problem.text).events[number - 1][0], rng.choice(MEANINGS)
    rule = f"{verb} means {TRUE_MEANING[verb] if rng.random() < 0.75 else said}"
    text = f"1) plus plus 2) same minus ! at {number}) {verb} not {said} ; rule {rule}"
    completion = pupil._complete(text if rng.random() < 0.9 else "1) plus plus 2) plus plus")
    parsed = parse_experience(completion, PROMPTS.sections, steps=pair.whole.wrong)
    is_parsed = isinstance(parsed, MetaExperience)
    candidate = Candidate(
        pair=pair,
        context_ids=(),
        completion=completion,
        experience=parsed if is_parsed else None,
        failure="" if is_parsed else parsed,
    )
    if not is_parsed:
        return rejected(candidate, candidate.failure, truth=truth_of(candidate, task))
    answer = pair.right.text if number == true and rng.random() < 0.8 else pupil.solve(pair.problem.text)
    verdicts = task.verify([pair.problem], [answer])
    truth = truth_of(candidate, task)
    return judge(candidate, (), [pupil._complete(answer)], [answer], verdicts, accept="right", margin=0, truth=truth)


def _metrics(groups, replayed, rng, generated, seconds) -> dict[str, float]:
    parsed = [r for r in replayed if r.candidate.experience]
    attempted = [r for r in replayed if r.attempts]
    located = [
        r.candidate.experience.bifurcation == r.truth.first_error
        for r in parsed
        if r.candidate.experience and r.truth.first_error is not None
    ]
    rules = [r.truth.is_true_rule for r in replayed if r.truth.is_true_rule is not None]
    rates = {
        "experience/retention": (sum(r.is_kept for r in attempted), len(attempted)),
        "experience/localization": (sum(located), len(located)),
        "experience/rule_truth": (sum(rules), len(rules)),
        "experience/leak_rate": (sum(r.candidate.states_answer for r in parsed), len(parsed)),
    }
    rewards = [r.reward for g in groups for r in g.rollouts]
    metrics = {
        "reward/mean": sum(rewards) / len(rewards),
        "reward/groups_mixed": sum(g.is_mixed for g in groups) / len(groups),
        **{path: top / under for path, (top, under) in rates.items() if under},
        "tokens/generated": generated,
        "time_s/total": seconds,
    }
    if replayed:
        metrics |= {"objective/lambda": 0.05 + 0.01 * rng.random(), "objective/cosine": rng.gauss(0.2, 0.05)}
    return metrics


@pytest.fixture
def hostile_run(make_run: Callable[..., Path]) -> Path:
    path = make_run("<script>alert(1)</script>", steps=2)
    with ExperienceStore.open(path / "experiences.db") as store:
        store.truncate_after(0)
        store.write_step(1, [hostile(text) for text in HOSTILE])
    return path
