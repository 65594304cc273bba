"""`mel eval` as a user runs it: a model from elsewhere, a run's own, killed and begun again, compared."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from commands import mel

from mel import tasks
from mel.config import load_recipe
from mel.evaluate.result import read_result
from mel.miniature import policies
from mel.record import RunDirectory
from mel.run.evaluation.engines import EngineChoice
from mel.run.evaluation.target import Target, benchmark_suites, evaluation_recipe, name_of

SUITE = "evaluation.suites=[{name: L5, count: 24, k: 4, temperature: 1.0, max_tokens: 44}]"


def options(engine: str, out: Path, suite: str = SUITE) -> tuple[str, ...]:
    return ("--recipe", "grpo", "--set", suite, "--batch-size", "16", "--engine", engine, "--output", str(out))


def texts(folder: Path) -> dict[tuple[str, str, int], tuple[str, bool]]:
    lines = (folder / "responses.jsonl").read_text().splitlines()[1:]
    rows = [json.loads(line) for line in lines]
    return {(r["problem"], r["kind"], r["sample"]): (r["text"], r["is_correct"]) for r in rows}


VLLM = pytest.param(
    "vllm", marks=pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed here: make test-vllm")
)


@pytest.fixture(scope="module", params=["transformers", VLLM])
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def evaluated(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("eval") / "world0"
    assert "Pass@1" in mel("eval", "miniature:0", *options(engine, out))
    return out


def test_an_evaluation_is_a_run_directory_that_reports_read(evaluated: Path, engine: str, tmp_path: Path) -> None:
    with RunDirectory.open(evaluated) as directory:
        assert directory.status.state == "finished"
        assert list(directory.evaluations) == ["L5"]
    result = read_result(evaluated / "evaluations" / "L5")
    assert (result.problems, result.settings.engine, result.settings.seed) == (24, f"{engine} float32", 1234)
    assert set(result.environment["versions"]) & {engine, f"{engine}-cpu"}, "of the engine too"
    assert "| L5 | 24 |" in (evaluated / "evaluations" / "results.md").read_text()
    assert "world0" not in mel("report", str(evaluated), "--output", str(tmp_path / "page.html")).split("report:")[0]
    assert "L5" in (tmp_path / "page.html").read_text()


def test_two_models_are_compared_problem_by_problem(evaluated: Path, engine: str, tmp_path: Path) -> None:
    shown = mel("eval", "miniature:1", *options(engine, tmp_path / "world1"), "--baseline", str(evaluated))
    table = shown[shown.index("against the first arm") :]
    assert "miniature-0" in table
    assert "miniature-1" in table
    ours, base = (read_result(p / "evaluations" / "L5").greedy_scores() for p in (tmp_path / "world1", evaluated))
    assert f"{100 * sum(ours[p] - base[p] for p in ours) / 24:+.1f} [" in table


def test_a_killed_evaluation_ends_as_an_undisturbed_one(evaluated: Path, engine: str, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "mel", "eval", "miniature:0", *options(engine, out)]
    responses = out / "evaluations" / "L5" / "responses.jsonl"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (responses.exists() and responses.read_bytes().count(b"\n") > 40):
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the evaluation ended before it could be killed"
    with responses.open("r+b") as file:  # a kill within a write leaves half a line
        file.truncate(responses.stat().st_size - 7)
    left = responses.read_bytes().count(b"\n") - 1
    assert 0 < left < 24 * 5
    mel(*command[3:])
    assert texts(responses.parent) == texts(evaluated / "evaluations" / "L5")
    first, again = (read_result(p / "evaluations" / "L5") for p in (evaluated, out))
    assert first.scores == again.scores


def test_more_suites_join_an_evaluation_and_another_model_does_not(evaluated: Path, engine: str) -> None:
    more = "evaluation.suites=[{name: L3, options: {length: 3}, count: 8, k: 0, max_tokens: 44}]"
    mel("eval", "miniature:0", *options(engine, evaluated, more))
    with RunDirectory.open(evaluated) as directory:
        assert set(directory.evaluations) == {"L3", "L5"}
        assert [s["name"] for s in directory.recipe["evaluation"]["suites"]] == ["L5", "L3"]
    message = mel("eval", "miniature:1", *options(engine, evaluated, more), fails=True)
    assert "holds evaluations of" in message
    assert "choose another --output" in message


def test_a_refused_evaluation_leaves_the_directory_as_it_was(evaluated: Path, engine: str) -> None:
    recipe = (evaluated / "recipe.yaml").read_bytes()
    message = mel("eval", "miniature:0", *options(engine, evaluated, SUITE.replace("k: 4", "k: 2")), fails=True)
    assert "k: there 4, asked 2" in message
    assert (evaluated / "recipe.yaml").read_bytes() == recipe


def test_a_wrong_baseline_and_a_change_of_no_recipe_are_refused_before_anything_is_generated(tmp_path: Path) -> None:
    out = tmp_path / "out"
    message = mel("eval", "miniature:0", *options("transformers", out), "--baseline", str(tmp_path / "no"), fails=True)
    assert "expected a run directory" in message
    message = mel("eval", "miniature:0", "--benchmarks", "aime24", "--set", "task.count=1", fails=True)
    assert "--set changes the recipe that --recipe names" in message
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--recipe", "grpo", "--k", "2"), "--k goes with --benchmarks"),
        (("--recipe", "grpo", "--from", "x.jsonl", "--engine", "vllm"), "--engine has no effect on responses"),
        (("--benchmarks", "aime24", "--from", "x.jsonl", "--max-tokens", "9"), "--max-tokens has no effect"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(words: tuple[str, ...], message: str) -> None:
    assert message in mel("eval", "miniature:0", *words, fails=True)


def test_any_file_of_questions_is_a_benchmark(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"question": "What is 1 + 1?", "answer": "2"}\n')
    suite = benchmark_suites(f"dataset={path}", max_tokens=8)[0]
    task = tasks.load("dataset", source=str(path))
    assert [p.answer for p in task.problems(suite.split)] == ["2"]


def test_another_model_at_the_same_path_is_not_taken_for_the_first(tmp_path: Path) -> None:
    few = "evaluation.suites=[{name: L5, count: 4, k: 0, max_tokens: 44}]"
    model = tmp_path / "model"
    shutil.copytree(policies.path(0), model)
    mel("eval", str(model), *options("transformers", tmp_path / "out", few))
    shutil.copy(policies.path(1) / "model.safetensors", model)
    message = mel("eval", str(model), *options("transformers", tmp_path / "out", few), fails=True)
    assert "holds responses of another evaluation (weights: there" in message


def test_responses_longer_than_the_context_are_refused_with_the_numbers(tmp_path: Path) -> None:
    suite = "evaluation.suites=[{name: L5, count: 8, k: 0, max_tokens: 5000}]"
    message = mel(
        "eval", "miniature:0", "--recipe", "grpo", "--set", suite, "--output", str(tmp_path / "x"), fails=True
    )
    assert "max_tokens 5000" in message
    assert "512 positions" in message


def test_a_run_without_a_trained_model_is_refused_with_what_to_do(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path / "run", load_recipe("grpo").resolved(), {}).close()
    with pytest.raises(ValueError, match=r"expected a finished run .* evaluate a checkpoint: mel eval"):
        Target.of(str(tmp_path / "run"))


def test_something_must_say_what_to_evaluate_on() -> None:
    with pytest.raises(ValueError, match="expected --recipe or --benchmarks, or a run directory"):
        evaluation_recipe(Target(model="m", about="m"), None, None)


def test_benchmarks_are_named_with_or_without_a_source(tmp_path: Path) -> None:
    suites = benchmark_suites(f"aime24, math500={tmp_path}/m.jsonl", k=4, temperature=0.5, max_tokens=64)
    assert [(s.name, s.task, s.options) for s in suites] == [
        ("aime24", "aime24", {}),
        ("math500", "math500", {"source": f"{tmp_path}/m.jsonl"}),
    ]
    assert {(s.k, s.temperature, s.max_tokens) for s in suites} == {(4, 0.5, 64)}
    with pytest.raises(ValueError, match="aime24"):
        benchmark_suites("aime42", k=4, temperature=0.5, max_tokens=64)
    with pytest.raises(ValueError, match="expected every task once; aime24 is named more often"):
        benchmark_suites("aime24,aime24=other.jsonl", k=4, temperature=0.5, max_tokens=64)
    with pytest.raises(
        ValueError, match="--temperature: expected a number above 0 for the samples, got 0; --k 0 alone makes none"
    ):
        benchmark_suites("aime24", k=4, temperature=0.0, max_tokens=64)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("Qwen/Qwen3-4B-Base", "Qwen3-4B-Base"),
        ("runs/grpo-s0/model", "grpo-s0-model"),
        ("runs/grpo-s0/checkpoints/checkpoint-20", "grpo-s0-checkpoint-20"),
        ("/data/models/my model/", "models-my-model"),
        ("miniature:0", "miniature-0"),
    ],
)
def test_a_model_has_a_plain_name(model: str, name: str) -> None:
    assert name_of(model) == name


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"engine": "sglang"}, "--engine: expected one of transformers, vllm; got 'sglang'"),
        ({"dtype": "float16"}, "--dtype: expected one of auto, float32, bfloat16"),
        ({"tensor_parallel": 2}, "give --engine vllm too"),
        ({"gpu_memory": 0.5}, "give --engine vllm too"),
        ({"engine": "vllm", "gpu_memory": 7.0}, "--gpu-memory: expected a share above 0 and at most 1, got 7"),
    ],
)
def test_an_engine_that_does_not_exist_is_refused(choice: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EngineChoice(**choice)  # type: ignore[arg-type]
