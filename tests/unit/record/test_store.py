import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mel.record import ExperienceStore, StoreError
from mel.types import Replayed

Make = Callable[..., Replayed]


@pytest.fixture
def store(tmp_path: Path):
    with ExperienceStore.create(tmp_path / "experiences.db") as store:
        yield store


def test_everything_about_a_candidate_comes_back(store: ExperienceStore, make_replayed: Make) -> None:
    item = make_replayed(attempts=(False, True), first_error=1, is_true_rule=True)
    store.write_step(3, [item])
    (found,) = store.list().items
    assert found == store.show(found.id)
    assert (found.step, found.rank, found.index) == (3, 0, 0)
    assert (found.problem_id, found.problem, found.answer) == ("story-0", "start 5 ; 1) sorts 2 ; 2) wins 3", "8")
    assert (found.right, found.wrong) == (item.candidate.pair.right.text, item.candidate.pair.wrong.text)
    assert [found.wrong[a:b] for a, b in found.wrong_steps] == ["1) sorts minus 2 = 3 ", "2) wins plus 3 = 6"]
    assert (found.bifurcation, found.critique, found.heuristic) == (1, "1) sorts not minus", "sorts means same")
    assert found.experience == "at 1) sorts not minus ; rule sorts means same"
    assert found.raw.startswith("1) same minus !")
    assert (found.is_kept, found.reason, found.failure, found.states_answer) == (True, "kept", "", False)
    assert (found.pass_rate, found.success_rate) == (0.5, 0.5)
    assert (found.first_error, found.rule_truth) == (1, True)
    assert [a.is_correct for a in found.attempts] == [False, True]
    assert (found.attempts[0].response, found.attempts[0].reason) == ("1) sorts same", "wrong")


def test_a_candidate_that_could_not_be_parsed_is_kept_with_its_reason(
    store: ExperienceStore, make_replayed: Make
) -> None:
    store.write_step(1, [make_replayed(failure="no_bifurcation")])
    (found,) = store.list().items
    assert (found.bifurcation, found.critique, found.heuristic, found.experience) == (None, None, None, None)
    assert (found.reason, found.success_rate, found.attempts) == ("no_bifurcation", None, ())
    assert (found.first_error, found.rule_truth) == (None, None)
    assert not found.is_parsed


def test_writing_a_step_twice_leaves_it_once(store: ExperienceStore, make_replayed: Make) -> None:
    store.write_step(1, [make_replayed(), make_replayed(failure="no_heuristic")])
    store.write_step(1, [make_replayed(heuristic="second")])
    page = store.list()
    assert [e.heuristic for e in page] == ["second"]
    assert page.total == 1


def test_the_second_generation_batch_of_a_step_adds_to_the_first(store: ExperienceStore, make_replayed: Make) -> None:
    store.write_step(1, [make_replayed(heuristic="a"), make_replayed(heuristic="b")])
    store.write_step(1, [make_replayed(heuristic="c")], first_index=2)
    store.write_step(1, [make_replayed(heuristic="c")], first_index=2)
    assert [e.heuristic for e in store.list()] == ["a", "b", "c"]


def test_ranks_do_not_overwrite_each_other(store: ExperienceStore, make_replayed: Make) -> None:
    store.write_step(1, [make_replayed()], rank=0)
    store.write_step(1, [make_replayed()], rank=1)
    assert [(e.step, e.rank, e.index) for e in store.list()] == [(1, 0, 0), (1, 1, 0)]


def test_a_step_without_candidates_writes_nothing(store: ExperienceStore) -> None:
    store.write_step(1, [])
    assert store.list().total == 0
    assert store.ledger().candidates == 0


def test_likelihoods_are_added_later_also_to_a_store_from_before_there_were_any(
    tmp_path: Path, store: ExperienceStore, make_replayed: Make
) -> None:
    store.write_step(1, [make_replayed(), make_replayed()])
    first, second = store.list().items
    assert (first.nll_then, first.nll_now_of) == (None, None)
    store.close()
    with sqlite3.connect(store.path) as older:
        for name in ("nll_then", "nll_then_of", "nll_now", "nll_now_of"):
            older.execute(f"ALTER TABLE experiences DROP COLUMN {name}")
    older.close()
    with ExperienceStore.open(store.path) as again:
        assert again.show(first.id) == first
        again.set_nll("then", "before training", {first.id: 1.5, second.id: 2.0})
        again.set_nll("now", "step 60", {first.id: 0.25})
        again.set_nll("now", "step 90", {first.id: 0.125})
        found = again.show(first.id)
        assert (found.nll_then, found.nll_then_of, found.nll_now, found.nll_now_of) == (
            1.5, "before training", 0.125, "step 90"
        )  # fmt: skip
        assert again.show(second.id).nll_now is None


def test_truncating_drops_later_steps_with_their_replays(store: ExperienceStore, make_replayed: Make) -> None:
    for step in (1, 2, 3):
        store.write_step(step, [make_replayed(), make_replayed()])
    assert store.truncate_after(1) == 4
    assert [e.step for e in store.list()] == [1, 1]
    with sqlite3.connect(store.path) as other:
        assert other.execute("SELECT COUNT(*) FROM attempts").fetchone() == (2,)
    other.close()


def test_a_truncated_store_continues_with_the_numbers_of_an_uninterrupted_one(
    tmp_path: Path, make_replayed: Make
) -> None:
    whole, killed = (ExperienceStore.create(tmp_path / name) for name in ("whole.db", "killed.db"))
    for step in (1, 2, 3):
        whole.write_step(step, [make_replayed(heuristic=f"step {step}")] * 2)
    for step in (1, 2):
        killed.write_step(step, [make_replayed(heuristic=f"step {step}")] * 2)
    killed.close()
    with ExperienceStore.open(tmp_path / "killed.db") as resumed:
        resumed.truncate_after(1)
        for step in (2, 3):
            resumed.write_step(step, [make_replayed(heuristic=f"step {step}")] * 2)
        assert resumed.list(limit=-1).items == whole.list(limit=-1).items
    whole.close()


def test_queries_combine_and_are_paged(store: ExperienceStore, make_replayed: Make) -> None:
    store.write_step(1, [make_replayed(heuristic=f"rule {i}", problem_id=f"p{i % 2}") for i in range(5)])
    store.write_step(2, [make_replayed(attempts=(False,)), make_replayed(failure="no_heuristic", problem_id="p1")])
    assert store.list(step=1).total == 5
    assert store.list(kept=True).total == 5
    assert store.list(kept=False).total == 2
    assert [e.step for e in store.list(reason="failed_replay")] == [2]
    assert store.list(problem="p1", kept=True).total == 2
    page = store.list(kept=True, offset=3, limit=10)
    assert ([e.heuristic for e in page], page.total, page.offset) == (["rule 3", "rule 4"], 5, 3)
    assert [e.step for e in store.list(newest_first=True, limit=3)] == [2, 2, 1]


@pytest.mark.parametrize("needle", ["100%", "a_b", "back\\slash", "'; DROP TABLE experiences; --", 'QUOTE"', "SORTS"])
def test_a_search_finds_text_literally_and_in_either_case(
    store: ExperienceStore, make_replayed: Make, needle: str
) -> None:
    store.write_step(
        1,
        [
            make_replayed(heuristic=f"it says {needle.lower()} here"),
            make_replayed(wrong="1) 100 axb 2) wins plus 3 = 6 answer 6"),
        ],
    )
    expected = 2 if needle == "SORTS" else 1
    assert store.list(search=needle).total == expected


def test_text_that_is_no_valid_utf8_is_stored_with_replacement_characters(
    store: ExperienceStore, make_replayed: Make
) -> None:
    store.write_step(1, [make_replayed(heuristic="half \ud83d pair \0 nul")])
    assert store.list().items[0].heuristic == "half ? pair \0 nul"


def test_the_ledger_counts_each_stage_as_part_of_the_one_before(store: ExperienceStore, make_replayed: Make) -> None:
    store.write_step(
        1,
        [
            make_replayed(first_error=1, is_true_rule=True),
            make_replayed(attempts=(False,), bifurcation=2, first_error=1, is_true_rule=False),
            make_replayed(attempts=(), reason="states_answer", states_answer=True, first_error=1),
            make_replayed(failure="no_bifurcation", first_error=1),
            make_replayed(failure="no_bifurcation"),
        ],
    )
    ledger = store.ledger()
    assert (ledger.candidates, ledger.parsed, ledger.replayed, ledger.kept, ledger.leaks) == (5, 3, 2, 1, 1)
    assert ledger.reasons == {"no_bifurcation": 2, "failed_replay": 1, "kept": 1, "states_answer": 1}
    assert (ledger.located, ledger.locatable) == (2, 3)
    assert (ledger.true_rules, ledger.checkable_rules) == (1, 2)


def test_another_process_reads_while_a_step_is_being_written(store: ExperienceStore, make_replayed: Make) -> None:
    store.write_step(1, [make_replayed()])
    store._connection.execute("BEGIN IMMEDIATE")
    store._connection.execute("DELETE FROM experiences")
    with ExperienceStore.open(store.path) as reader:
        assert reader.list().total == 1
    store._connection.rollback()


def test_a_failing_step_leaves_nothing_behind(store: ExperienceStore, make_replayed: Make) -> None:
    store.write_step(1, [make_replayed(heuristic="before")])
    store._connection.execute("CREATE TRIGGER refuse BEFORE INSERT ON attempts BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(sqlite3.IntegrityError, match="no"):
        store.write_step(1, [make_replayed(heuristic="after")])
    assert [e.heuristic for e in store.list()] == ["before"]


def test_an_unknown_number_is_refused_with_what_to_do(store: ExperienceStore) -> None:
    with pytest.raises(ValueError, match=r"holds no experience 7; `mel experiences list`"):
        store.show(7)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"gone.db: expected the experience store of a run; there is no such file"):
        ExperienceStore.open(tmp_path / "gone.db")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "experiences.db"
    path.write_bytes(b"this is not a database, only text" * 100)
    with pytest.raises(StoreError, match=r"expected a whole experience store .*no SQLite file.*Restore it from a copy"):
        ExperienceStore.open(path)


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "experiences.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE experiences (a)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"expected an experience store of mel .* belongs to something else"):
        ExperienceStore.open(path)
    assert path.read_bytes() == before


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "experiences.db"
    ExperienceStore.create(path).close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 7")
    other.close()
    with pytest.raises(StoreError, match=r"expected schema version 1; got 7, written by a newer version of mel"):
        ExperienceStore.open(path)


def test_a_truncated_copy_is_refused_as_damaged(tmp_path: Path, make_replayed: Make) -> None:
    path = tmp_path / "experiences.db"
    with ExperienceStore.create(path) as store:
        for step in range(20):
            store.write_step(step, [make_replayed()] * 4)
    path.write_bytes(path.read_bytes()[: 6 * 4096])
    with pytest.raises(StoreError, match="damaged"):
        ExperienceStore.open(path)


def test_a_store_is_not_created_over_an_existing_file(tmp_path: Path) -> None:
    path = tmp_path / "experiences.db"
    path.write_text("mine")
    with pytest.raises(StoreError, match="expected no file yet"):
        ExperienceStore.create(path)
    assert path.read_text() == "mine"


def test_a_killed_writer_leaves_whole_steps_only(tmp_path: Path, make_replayed: Make) -> None:
    path = tmp_path / "experiences.db"
    ExperienceStore.create(path).close()
    child = os.fork()
    if child == 0:
        store = ExperienceStore.open(path)
        for step in range(1, 1_000_000):
            store.write_step(step, [make_replayed(critique="long " * 500)] * 5)
        os._exit(1)
    with ExperienceStore.open(path) as reader:
        deadline = time.monotonic() + 30
        while reader.list(limit=0).total < 50 and time.monotonic() < deadline:
            time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with ExperienceStore.open(path) as store:
        steps = [e.step for e in store.list(limit=-1)]
        assert len(steps) >= 50
        assert steps == [step for step in range(1, steps[-1] + 1) for _ in range(5)]


def test_a_store_is_read_where_nothing_can_be_written(tmp_path: Path, make_replayed: Make) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root on Linux")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        with ExperienceStore.create(disk / "experiences.db") as store:
            store.write_step(1, [make_replayed()])
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with ExperienceStore.open(disk / "experiences.db") as store:
            assert store.list().total == 1
            with pytest.raises(OSError, match="cannot be written"):
                store.write_step(2, [make_replayed()])
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
