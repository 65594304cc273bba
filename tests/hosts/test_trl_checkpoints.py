"""What is wrong with a checkpoint is said by name, from its files alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors import SafetensorError

from mel.hosts.trl.checkpoints import checkpoints_in, readable, whole_or_nothing
from mel.hosts.trl.state import seal
from mel.record import DiskFullError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The checkpoint of step 3, with the optimizer's state in a folder of its own, as FSDP writes it."""
    checkpoint = tmp_path / "checkpoint-3"
    (checkpoint / "optimizer_0").mkdir(parents=True)
    (checkpoint / "optimizer_0" / "__0_0.distcp").write_bytes(b"12345")
    for name in ("model.safetensors", "scheduler.pt", "rng_state_0.pth", "rng_state_1.pth", "training_args.bin"):
        (checkpoint / name).write_bytes(b"12345")
    (checkpoint / "config.json").write_text("{}")
    (checkpoint / "mel_state.json").write_text('{"batches": 3}')
    seal(checkpoint)
    (checkpoint / "trainer_state.json").write_text('{"global_step": 3}')
    return checkpoint


def problem(folder: Path, *, total: int = 6) -> str:
    (found,) = checkpoints_in(folder.parent, total=total)
    assert found.step == 3
    return found.problem


def test_a_whole_checkpoint_has_no_problem_whatever_became_of_the_files_that_training_does_not_read(
    folder: Path,
) -> None:
    assert problem(folder) == ""
    (folder / "training_args.bin").unlink()
    (folder / "config.json").write_text('{"edited": true}')
    (folder / "notes.txt").write_text("mine")
    assert problem(folder) == ""


@pytest.mark.parametrize(
    "name", ["model.safetensors", "optimizer_0/__0_0.distcp", "scheduler.pt", "rng_state_1.pth", "mel_state.json"]
)
def test_a_missing_file_is_named(name: str, folder: Path) -> None:
    (folder / name).unlink()
    assert problem(folder) == f"{name} is missing"


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer_0/__0_0.distcp", "rng_state_1.pth"])
def test_a_file_that_was_cut_is_named_with_both_sizes(name: str, folder: Path) -> None:
    (folder / name).write_bytes(b"12")
    assert problem(folder) == f"{name} is damaged (2 bytes; 5 were written)"


@pytest.mark.parametrize("text", [None, "", '{"global_step": 3'])
def test_a_checkpoint_without_the_file_that_comes_last_was_not_finished(text: str | None, folder: Path) -> None:
    (folder / "trainer_state.json").unlink()
    if text is not None:
        (folder / "trainer_state.json").write_text(text)
    (found,) = checkpoints_in(folder.parent, total=6)
    assert (found.problem, found.is_finished) == ("was not written to its end", False)


def test_a_checkpoint_of_the_model_alone_serves_only_a_run_that_trains_no_further(folder: Path) -> None:
    (folder / "mel_state.json").write_text(json.dumps({"batches": 3}))
    (folder / "optimizer_0" / "__0_0.distcp").unlink()
    (folder / "optimizer_0").rmdir()
    assert problem(folder).startswith("the optimizer's state is missing (trainer.save_only_model")
    assert problem(folder, total=3) == ""


def test_a_checkpoint_without_a_list_of_its_files_is_taken_if_all_kinds_are_there(folder: Path) -> None:
    (folder / "mel_state.json").write_text(json.dumps({"batches": 3}))
    assert problem(folder) == ""
    for file in folder.glob("rng_state*"):
        file.unlink()
    assert problem(folder).startswith("the state of the random numbers is missing")


def test_checkpoints_come_by_their_numbers_and_other_folders_are_none(folder: Path) -> None:
    for name in ("checkpoint-10", "checkpoint-9", "damaged-checkpoint-4", "checkpoint-best"):
        (folder.parent / name).mkdir()
    assert [c.step for c in checkpoints_in(folder.parent, total=6)] == [3, 9, 10]


@pytest.mark.parametrize(
    "error",
    [
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),
        OSError(28, "No space left on device"),
    ],
    ids=["safetensors", "torch", "system"],
)
def test_what_libraries_raise_on_a_full_disk_is_one_error_and_nothing_half_written_stays(
    error: Exception, folder: Path
) -> None:
    expected = pytest.raises(DiskFullError, match="no space left while saving checkpoint-3")
    with expected, whole_or_nothing(folder, is_writer=True):
        raise error
    assert not folder.exists()


def test_another_error_while_saving_passes_and_its_files_stay_to_be_looked_at(folder: Path) -> None:
    with pytest.raises(RuntimeError, match=r"^tensors share memory$"), whole_or_nothing(folder, is_writer=True):
        raise RuntimeError("tensors share memory")
    assert folder.exists()


def test_a_file_that_cannot_be_read_is_one_line_with_the_checkpoint(folder: Path) -> None:
    header = SafetensorError("Error while deserializing header: header too large\nand more")
    expected = pytest.raises(ValueError, match=r"checkpoint-3: .* header too large. Move it away")
    with expected as refused, readable(folder):
        raise header
    assert "\n" not in str(refused.value)
