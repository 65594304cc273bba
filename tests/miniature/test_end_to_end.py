"""The whole method on the miniature, read from the run directory: it learns, and it learns through its experiences."""

from __future__ import annotations

import shutil
from pathlib import Path
from statistics import fmean

import pytest
from commands import mel

from mel.config import load_recipe
from mel.evaluate.result import read_result
from mel.record import RunDirectory
from mel.report.page import build
from mel.run import train

pytestmark = pytest.mark.slow

STEPS = 24
CHANGES = [
    f"trainer.max_steps={STEPS}",
    "trainer.save_strategy='no'",
    "evaluation.every=null",
    "evaluation.suites=[{name: L5, options: {length: 5}, count: 128, k: 2, max_tokens: 44}]",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    path = train(load_recipe("recommended", CHANGES), output=tmp_path_factory.mktemp("end_to_end") / "run")
    return RunDirectory.open(path)


def test_reward_rises(run: RunDirectory) -> None:
    rewards = [row["reward/mean"] for row in run.metrics.read() if "reward/mean" in row]
    assert len(rewards) == STEPS
    assert fmean(rewards[-8:]) > fmean(rewards[:8]) + 0.05


def test_held_out_problems_are_solved_more_often_than_before(run: RunDirectory) -> None:
    before, after = (read_result(run.path / "evaluations" / f"{when}-L5") for when in ("before", "after"))
    assert before.pass_at_1 is not None
    assert after.pass_at_1 is not None
    assert after.pass_at_1.value > before.pass_at_1.value + 0.05


def test_some_experiences_are_kept_and_some_are_not(run: RunDirectory) -> None:
    ledger = run.experiences.ledger()
    assert ledger.candidates > STEPS
    assert 0 < ledger.kept < ledger.replayed <= ledger.parsed <= ledger.candidates
    assert sum(ledger.reasons.values()) == ledger.candidates


def test_the_bifurcation_is_found_more_often_than_by_chance(run: RunDirectory) -> None:
    ledger = run.experiences.ledger()
    assert ledger.locatable > 50
    assert ledger.located / ledger.locatable > 0.4, "a step of five drawn at random is right in 1 of 5"


def test_every_generated_token_is_accounted_for(run: RunDirectory) -> None:
    rows = [row for row in run.metrics.read() if "reward/mean" in row]
    phases = ("tokens/rollout", "tokens/construct", "tokens/replay")
    assert rows[-1]["tokens/generated"] == sum(row.get(p, 0.0) for row in rows for p in phases)
    assert rows[-1]["tokens/rollout"] == pytest.approx(rows[-1]["completions/mean_length"] * 64)


def test_the_report_page_shows_the_run_without_any_network(run: RunDirectory, tmp_path: Path) -> None:
    page = build([run.path], tmp_path / "report.html").read_text()
    assert "recommended" in page
    assert 'src="http' not in page
    assert 'href="http' not in page


FEW = "evaluation.suites=[{name: L5, options: {length: 5}, count: 16, k: 8, max_tokens: 44}]"


def test_experiences_can_be_listed_and_shown(run: RunDirectory) -> None:
    kept = run.experiences.list(kept=True, limit=1).items[0]
    assert kept.heuristic is not None
    assert kept.heuristic.split()[0] in mel("experiences", "list", str(run.path), "--kept", "--search", kept.heuristic)
    shown = mel("experiences", "show", str(run.path), str(kept.id))
    assert kept.heuristic in shown
    assert "replay 1" in shown


def test_experiences_are_scored_by_the_policy_from_before_and_by_the_trained_one(
    run: RunDirectory, tmp_path: Path
) -> None:
    path = tmp_path / "scored"
    shutil.copytree(run.path, path)
    said = mel("experiences", "score", str(path))
    with RunDirectory.open(path) as scored:
        kept = scored.experiences.list(kept=True, limit=-1).items
        dropped = scored.experiences.list(kept=False, limit=-1).items
    assert {(e.nll_then_of, e.nll_now_of) for e in kept} == {("before training", f"step {STEPS}")}
    assert all(e.nll_then is None for e in dropped)
    then, now = (fmean(getattr(e, name) for e in kept) for name in ("nll_then", "nll_now"))
    assert f"NLL of {len(kept)} kept experiences, mean in nats per token: {then:.3f} before" in said
    assert f"{now:.3f} now" in said
    assert then != now
    # What the policy wrote greedily is likely to it, in the prompt that asked for it.
    assert 0 < fmean(e.nll_then or 0 for e in kept if e.step == 1) < 0.2
    assert f"{kept[0].nll_then:.2f} before training" in mel("experiences", "show", str(path), str(kept[0].id))
    again = mel("experiences", "score", str(path), "--model", "miniature:0")
    assert f"{then:.3f} before each was learned, {then:.3f} now" in again
    shutil.rmtree(path / "model")
    assert "there is none. Finish the run, or give --model PATH" in mel("experiences", "score", str(path), fails=True)


def test_a_trained_model_is_evaluated_like_any_other(run: RunDirectory, tmp_path: Path) -> None:
    suite = "evaluation.suites=[{name: L5, options: {length: 5}, count: 128, k: 0, max_tokens: 44}]"
    mel("eval", str(run.path / "model"), "--recipe", "recommended", "--set", suite, "--output", str(tmp_path / "apart"))
    within, apart = (read_result(p) for p in (run.evaluation("after-L5"), tmp_path / "apart" / "evaluations" / "L5"))
    assert apart.greedy_scores() == within.greedy_scores(), "the saved model answers as the trained one did"


def test_a_run_that_is_named_stands_for_its_trained_model(run: RunDirectory, tmp_path: Path) -> None:
    path = tmp_path / "again"
    shutil.copytree(run.path, path)
    folder = path / "evaluations" / "after-L5"
    before = (folder / "responses.jsonl").read_text()
    shown = mel("eval", str(path))
    assert "128/384" not in shown, "what the run did itself is not done again"
    assert (folder / "responses.jsonl").read_text() == before
    shutil.rmtree(folder)
    mel("eval", str(path))
    assert read_result(folder).scores == read_result(run.evaluation("after-L5")).scores
    mel("eval", str(path), "--output", str(tmp_path / "apart"))
    assert read_result(tmp_path / "apart" / "evaluations" / "L5").scores == read_result(folder).scores


def test_quickstart_compares_its_arms_and_shows_experiences(tmp_path: Path) -> None:
    output = mel("quickstart", "--steps", "3", "--output", str(tmp_path / "quick"), "--set", FEW)
    assert "grpo: step 3/3" in output
    assert "recommended: step 3/3" in output
    assert "Meta-experiences that recommended wrote" in output
    assert "Avg@8" in output
    assert (tmp_path / "quick" / "report.html").is_file()
