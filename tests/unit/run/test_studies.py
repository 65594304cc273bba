"""Study files and their cells; no training."""

from pathlib import Path

import pytest
from rich.console import Console

from mel.record import RunDirectory
from mel.run.study import run_study
from mel.run.study.cells import cells_of
from mel.run.study.files import Study, load_study

FILE = """
question: Which?
arms:
  grpo: grpo
  mine: {recipe: mine.yaml, set: {trainer.learning_rate: 1.0e-4}}
baseline: mine
seeds: [3, 1]
set: {trainer.max_steps: 2, evaluation.suites: [], evaluation.every: null}
axes: {task.options.world: [0, 1]}
short: {seeds: [7], set: {trainer.max_steps: 1}, axes: {}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "mine.yaml").write_text("extends: grpo\n")
    path = tmp_path / "which.yaml"
    path.write_text(FILE)
    return path


def test_cells_go_seed_by_seed_with_the_baseline_first(file: Path) -> None:
    cells = cells_of(load_study(file), beside=file.parent)
    assert [cell.name for cell in cells] == [
        "mine-world_0-s3", "grpo-world_0-s3", "mine-world_1-s3", "grpo-world_1-s3",
        "mine-world_0-s1", "grpo-world_0-s1", "mine-world_1-s1", "grpo-world_1-s1",
    ]  # fmt: skip


def test_another_baseline_asks_for_the_same_runs(file: Path) -> None:
    def recipes() -> dict[str, object]:
        return {cell.name: cell.changes for cell in cells_of(load_study(file), beside=file.parent)}

    of_mine = recipes()
    file.write_text(file.read_text().replace("baseline: mine", "baseline: grpo"))
    assert recipes() == of_mine


def test_a_cell_has_the_changes_of_its_study_its_arm_its_point_and_the_command_line(file: Path) -> None:
    cells = cells_of(load_study(file), beside=file.parent, changes=("trainer.beta=0.1",))
    recipe = cells[2].load()
    assert recipe.trainer["learning_rate"] == 1e-4
    assert recipe.trainer["max_steps"] == 2
    assert recipe.trainer["beta"] == 0.1
    assert recipe.seed == 3
    assert recipe.task.options["world"] == 1
    assert recipe.evaluation.suites == []


def test_a_named_value_of_an_axis_changes_several_keys() -> None:
    axes = {"world": {1: {"task.options.world": 1, "model.path": "miniature:1"}, 2: {"model.path": "miniature:2"}}}
    study = Study.model_validate({"name": "x", "arms": {"a": "grpo"}, "axes": axes})
    cells = cells_of(study, beside=Path())
    assert [cell.name for cell in cells] == ["a-world_1-s0", "a-world_2-s0"]
    assert [cell.point for cell in cells] == [(("world", 1),), (("world", 2),)]
    assert [cell.load().model.path for cell in cells] == ["miniature:1", "miniature:2"]
    assert [cell.load().task.options["world"] for cell in cells] == [1, 0]


def test_one_cell_of_each_combination_evaluates_the_untrained_policy(file: Path) -> None:
    cells = cells_of(load_study(file), beside=file.parent)
    assert [cell.name for cell in cells if cell.load().evaluation.before] == ["grpo-world_0-s3", "grpo-world_1-s3"]


def test_the_short_form_has_a_directory_of_its_own(file: Path) -> None:
    short = load_study(file).shortened()
    assert short.name == "which-short"
    assert [cell.name for cell in cells_of(short, beside=file.parent)] == ["mine-s7", "grpo-s7"]
    assert cells_of(short, beside=file.parent)[0].load().trainer["max_steps"] == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("arms: {a: grpo}\nbaseline: b", "baseline: expected one of a, got 'b'"),
        ("arms: {a: grpo}\nseeds: [1, 1]", "seeds: expected each once, got \\[1, 1\\]"),
        ("arms: {a: grpo}\nseed: 1", "unknown key 'seed'; did you mean 'seeds'"),
        ("arms: {a/b: grpo}", "expected a plain word"),
        ("arms: {}", "arms: "),
        ("- grpo", "expected a mapping with the key arms, got list"),
        ("arms: {a: grpo", "expected YAML"),
    ],
)
def test_a_bad_study_is_refused_with_its_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as refusal:
        load_study(path)
    assert str(refusal.value).startswith(str(path))
    assert "\n" not in str(refusal.value)


def test_two_cells_never_share_a_directory() -> None:
    study = Study.model_validate({"name": "x", "arms": {"a": "grpo"}, "axes": {"model.path": ["models/a", "models_a"]}})
    with pytest.raises(ValueError, match="a-path_models_a-s0' twice"):
        cells_of(study, beside=Path())


def test_every_study_of_the_repository_names_recipes_that_exist() -> None:
    files = sorted((Path(__file__).parents[3] / "studies").rglob("*.yaml"))
    assert files
    for file in files:
        for study in (load_study(file), load_study(file).shortened()):
            for cell in cells_of(study, beside=file.parent):
                assert cell.load().seed == cell.seed


def test_a_run_of_another_recipe_is_no_cell_of_a_study(file: Path, tmp_path: Path) -> None:
    cell = cells_of(load_study(file), beside=file.parent)[0]
    RunDirectory.create(tmp_path / "out" / cell.name, cell.load().resolved(), {}).close()
    run_study(file, output=tmp_path / "out", train=False, console=Console(quiet=True))
    with pytest.raises(ValueError, match=r"mine-world_0-s3 holds a run of another recipe \(trainer.beta: .* 0.1 asked"):
        run_study(
            file, output=tmp_path / "out", train=False, changes=("trainer.beta=0.1",), console=Console(quiet=True)
        )


def test_the_results_say_how_far_each_cell_is_and_which_command_goes_on(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    output = tmp_path / "out"
    cell = cells_of(load_study(file), beside=file.parent)[0]
    with RunDirectory.create(output / cell.name, cell.load().resolved(), {}) as run:
        run.set_status("stopped", step=1)
    run_study(file, output=output, train=False, console=Console(quiet=True))
    text = (output / "study.md").read_text()
    assert "0 of 8 runs are finished.\n`mel study which.yaml` makes" in text
    assert (
        "* 1 stopped: `mel study which.yaml` continues it from the last checkpoint\n"
        "    * mine, task.options.world = 0, seed 3, step 1 of 2\n"
        "* 7 not begun: `mel study which.yaml` trains them\n"
    ) in text
    run_study(
        file, output=output / "short", short=True, train=False, changes=["description=a b"], console=Console(quiet=True)
    )
    assert (
        "2 not begun: `mel study which.yaml --short --set 'description=a b'` trains"
        in (output / "short/study.md").read_text()
    )


def test_a_finished_run_of_the_same_recipe_and_seed_in_another_study_is_a_cell(file: Path, tmp_path: Path) -> None:
    first, second = (cell.load().resolved() for cell in cells_of(load_study(file), beside=file.parent)[:2])
    for name, recipe, state in (("other_name", first, "finished"), ("begun", second, "running")):
        with RunDirectory.create(tmp_path / "other" / name, recipe, {}) as run:
            run.set_status(state)
    found = run_study(
        file, output=tmp_path / "out", reuse=[tmp_path / "other"], train=False, console=Console(quiet=True)
    )
    assert [cell.name for cell in found.cells if cell.state == "finished"] == ["mine, task.options.world = 0, seed 3"]
    alone = run_study(file, output=tmp_path / "out", train=False, console=Console(quiet=True))
    assert not [cell for cell in alone.cells if cell.state == "finished"]


def test_a_directory_without_finished_runs_cannot_be_reused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--reuse: expected a directory that holds finished runs, .* got .*/nowhere"):
        run_study(file, reuse=[tmp_path / "nowhere"], train=False, console=Console(quiet=True))


def test_a_study_whose_runs_all_lie_in_other_studies_may_be_named_among_those_to_reuse(
    file: Path, tmp_path: Path
) -> None:
    run_study(file, output=tmp_path / "empty", train=False, console=Console(quiet=True))
    found = run_study(
        file, output=tmp_path / "out", reuse=[tmp_path / "empty"], train=False, console=Console(quiet=True)
    )
    assert {cell.state for cell in found.cells} == {"not begun"}


@pytest.mark.parametrize(
    ("gpus", "at_once", "message"),
    [
        (["0", "x"], None, "--gpus: expected different numbers of GPUs, such as 0,1,2; got '0,x'"),
        (["0", ""], None, "got '0,'"),
        (["1", "1"], None, "got '1,1'"),
        (["0", "1"], 4, "--at-once 4: expected at most one run on each GPU of --gpus 0,1"),
    ],
)
def test_what_names_no_gpu_for_each_run_is_refused_before_anything_is_trained(
    file: Path, tmp_path: Path, gpus: list[str], at_once: int | None, message: str
) -> None:
    with pytest.raises(ValueError) as error:
        run_study(file, output=tmp_path / "runs", gpus=gpus, at_once=at_once, console=Console(quiet=True))
    assert message in str(error.value)
    assert not (tmp_path / "runs").exists()
