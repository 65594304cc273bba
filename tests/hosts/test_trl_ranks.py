"""Two ranks (gloo, torchrun) apply the gradients of one rank on the union batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as parquet
import pytest
import tiny
import torch
import two_ranks
import whole_table
from alike import GROUP
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

HERE = Path(__file__).parent
CASES = two_ranks.cases()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Results of all cases by one rank and by two; one launch each."""
    found = {}
    for world, launcher in ((1, []), (2, ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"])):
        folder = tmp_path_factory.mktemp(f"world{world}")
        command = [sys.executable, *launcher, str(HERE / "two_ranks.py"), str(folder)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TRL_EXPERIMENTAL_SILENCE": "1", "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        # `accelerate launch --cpu --num_processes 2` was seen to start one process without a word.
        assert json.loads((folder / f"done-{world - 1}.json").read_text())["world"] == world
        found[world] = folder
    return found


def load(folder, case, rank=0):
    return torch.load(folder / f"{case}-rank{rank}.pt", weights_only=False)


def generation_batch_mean(steps):
    """Micro-batches are shuffled by rank, so only the steps of a whole generation batch together compare."""
    names = sorted(steps[0])
    return torch.cat([sum(step[n].double() for step in steps).reshape(-1) / len(steps) for n in names])


def is_comparable(case):
    # Lambda is set per optimizer step from that step's policy gradient, whose half of the rollouts is shuffled.
    return not (case.endswith("grad_norm") and "generate_for_two_steps" in case)


@pytest.mark.parametrize("case", [c for c in CASES if is_comparable(c)])
def test_two_ranks_apply_the_gradient_of_one_rank_on_the_union_batch(folders, case):
    one, two = (generation_batch_mean(load(folders[world], case)["steps"]) for world in (1, 2))
    assert one.norm() > 0
    assert ((one - two).norm() / one.norm()).item() < 1e-5


@pytest.mark.parametrize("case", CASES)
def test_both_ranks_hold_the_same_gradient(folders, case):
    left, right = (load(folders[2], case, rank)["steps"] for rank in (0, 1))
    for a, b in zip(left, right, strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("case", CASES)
def test_rows_are_counted_over_ranks_and_filled_up_with_dummies(folders, case):
    counts = CASES[case][1]
    metrics = load(folders[2], case)["metrics"]
    assert metrics["rows/real"] == sum(counts)
    assert metrics["rows/dummy"] == 2 * max(counts) - sum(counts)
    assert metrics["rows_from/rows"] == sum(counts)


@pytest.mark.parametrize("case", [c for c in CASES if c.endswith("grad_norm") and sum(CASES[c][1])])
def test_the_share_holds_on_two_ranks(folders, case):
    metrics = load(folders[2], case)["metrics"]
    applied = metrics["objective/lambda"] * metrics["objective/grad_norm_auxiliary"]
    assert applied == pytest.approx(2.0 * metrics["objective/grad_norm_policy"])


def test_the_main_process_alone_reports_and_its_table_has_the_experiences_of_both_ranks(folders):
    tables = {}
    for world, folder in folders.items():
        (file,) = (folder / "tracked").glob("**/events.out.tfevents.*")
        events = EventAccumulator(str(file))
        events.Reload()
        (table,) = events.Tensors("experiences/text_summary")
        tables[world] = table.tensor_proto.string_val[0].decode()
    # A group on each rank, or both on the one: two experiences kept and four not, of which two and three are shown.
    assert tables[1] == tables[2]
    assert len({line.split(" | ")[1] for line in tables[2].splitlines()[2:]}) == 2


def distance(folders, name):
    """Relative, between the gradients of two ranks and of one rank on the union batch."""
    one, two = (tiny.flat(torch.load(folders[world] / f"{name}-rank0.pt", weights_only=False)[0]) for world in (1, 2))
    assert one.norm() > 0
    return ((one - two).norm() / one.norm()).item()


@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize("loss", two_ranks.LOSSES)
def test_groups_changed_on_one_rank_have_the_gradient_of_one_rank_on_the_union_batch(folders, loss, accumulation):
    assert distance(folders, f"changed-{loss}-{accumulation}") < 1e-6


def test_several_auxiliaries_have_the_gradient_of_one_rank_on_the_union_batch(folders):
    assert distance(folders, "several") < 1e-6


def test_rewards_whitened_over_the_tokens_of_all_ranks_have_the_gradient_of_one_rank_on_the_union_batch(folders):
    assert distance(folders, "whiten") < 1e-6


def test_ranks_of_which_one_alone_has_groups_to_refill_make_the_same_calls(folders):
    left, right = (torch.load(folders[2] / f"refill-rank{rank}.pt", weights_only=False) for rank in (0, 1))
    # The group of rank 0 is sampled again and filled by the first round; the other rank has dummies for its rows.
    assert (left["judged"], right["judged"]) == ([GROUP, GROUP], [GROUP])
    found = left["metrics"]
    assert [found[f"dynamic_sampling/{key}"] for key in ("uniform", "tried", "filled")] == [1, 1, 1]
    assert (found["rows/real"], found["rows/dummy"]) == (GROUP, GROUP)
    assert found["tokens/refill"] > 0


@pytest.mark.parametrize("sign", ["+1", "-1"])
def test_a_projected_gradient_is_that_of_one_rank_on_the_union_batch(folders, sign):
    assert distance(folders, f"conflict{sign}") < 1e-6


def test_one_of_the_projected_gradients_conflicted(folders):
    cosines = [json.loads((folders[2] / f"cosine{sign}-rank1.json").read_text()) for sign in ("+1", "-1")]
    assert min(cosines) < 0 < max(cosines)


def test_ranks_with_unequal_requests_score_by_the_same_calls_what_one_rank_scores(folders):
    one = torch.load(folders[1] / "score-rank0.pt", weights_only=False)
    left, right = (torch.load(folders[2] / f"score-rank{rank}.pt", weights_only=False) for rank in (0, 1))
    # Five sequences at most, two to a pass.
    assert left["calls"] == right["calls"] == {"passes": 3, "gathers": 1}
    assert (len(left["answers"]), len(right["answers"])) == (5, 1)
    for found, expected in zip([*left["answers"], *right["answers"]], one["answers"], strict=True):
        assert found == pytest.approx(expected, abs=1e-6, rel=1e-6)


@pytest.mark.parametrize("case", whole_table.together())
def test_every_auxiliary_makes_the_same_collective_calls_on_both_ranks_whatever_their_groups_hold(folders, case):
    left, right = (load(folders[2], f"table-{case}", rank) for rank in (0, 1))
    assert left["calls"] == right["calls"]
    assert left["prompts"] == right["prompts"]
    # It had something to do, on one rank or on both.
    assert len(left["log"]) == whole_table.STEPS
    done = [line["rows/real"] + sum(line[f"tokens/{phase}"] for phase in left["phases"]) for line in left["log"]]
    assert max(done) > 0


def credit(folder, name, rank=0):
    return torch.load(folder / f"credit-{name}-rank{rank}.pt", weights_only=False)


@pytest.mark.parametrize("name", ["contrast", "process_reward"])
def test_a_credit_rule_that_asks_has_the_gradient_of_one_rank_on_the_union_batch(folders, name):
    one, two = (tiny.flat(credit(folders[world], name)["policy"][0]) for world in (1, 2))
    assert one.norm() > 0
    assert ((one - two).norm() / one.norm()).item() < 1e-5


def test_a_reward_model_learns_on_two_ranks_from_the_solutions_of_both(folders):
    (one,), (left,), (right,) = (
        credit(folders[world], "process_reward", rank)["learned"] for world, rank in ((1, 0), (2, 0), (2, 1))
    )
    assert all(torch.equal(left[name], right[name]) for name in left)
    whole = tiny.flat(one)
    assert whole.norm() > 0
    assert ((whole - tiny.flat(left)).norm() / whole.norm()).item() < 1e-5


def test_ranks_with_unequal_numbers_of_steps_continue_them_in_the_same_calls(folders):
    left, right = (credit(folders[2], "step_values", rank)["policy"][0] for rank in (0, 1))
    assert all(torch.equal(left[name], right[name]) for name in left)
    logged = [credit(folders[world], "step_values")["generated"]["tokens/step_values"] for world in (1, 2)]
    assert min(logged) > 0


def relative_distance(one, two):
    assert one.norm() > 0
    return ((one - two).norm() / one.norm()).item()


def test_gathered_rows_of_two_ranks_have_the_gradient_of_one_rank_on_the_union_batch(folders):
    one, two = (load(folders[world], "late-still") for world in (1, 2))
    assert relative_distance(*(generation_batch_mean(found["steps"]) for found in (one, two))) < 1e-5
    # One row of the first rank and three of the second, of groups of two batches: two in each of two steps.
    for log in (one["log"], two["log"]):
        assert [line["rows/real"] for line in log] == [0, 2, 2, 2, 2]
        assert [line["rows_from/waiting/groups"] for line in log] == [2, 0, 2, 0, 2]
        assert [line["rows_from/waiting/rows"] for line in log] == [0, 2, 0, 2, 0]


@pytest.mark.parametrize("case", ["late-whole", "measured-everything", "measured-adapter"])
def test_ranks_whose_groups_and_rows_differ_make_the_same_collective_calls(folders, case):
    left, right = (load(folders[2], case, rank)["calls"] for rank in (0, 1))
    assert left == right
    assert left


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("step", [2, 3], ids=["rows wait", "groups wait"])
def test_two_ranks_that_are_resumed_while_something_waits_end_as_undisturbed_ones(folders, step, rank):
    whole, resumed = (load(folders[2], case, rank) for case in ("late-whole", f"late-after{step}"))
    # What came before the checkpoint is the main process's own log on every rank.
    assert resumed["log"][step:] == whole["log"][step:]
    assert all(torch.equal(whole["weights"][name], resumed["weights"][name]) for name in whole["weights"])


def logged_rollouts(folder, case):
    files = sorted((folder / f"late-{case}" / "rollouts").glob("*.parquet"))
    return [row for file in files for row in parquet.read_table(file).to_pylist()]


def test_the_rollout_log_of_two_ranks_is_that_of_one_rank_on_the_union_batch(folders):
    one, two = (logged_rollouts(folders[world], "still") for world in (1, 2))
    assert one == two
    places = [(row["step"], row["batch"], row["group"], row["rollout"]) for row in two]
    assert places == [(s, 0, g, r) for s in range(1, 6) for g in range(2) for r in range(GROUP)]


@pytest.mark.parametrize("step", [2, 3])
def test_after_a_resume_every_rollout_of_both_ranks_is_in_the_log_once(folders, step):
    assert logged_rollouts(folders[2], f"after{step}") == logged_rollouts(folders[2], "whole")


def test_the_main_process_alone_tells_of_the_progress_within_a_step(folders):
    assert [load(folders[2], "late-whole", rank)["followed"] for rank in (0, 1)] == [{1, 2, 3, 4, 5}, set()]


@pytest.mark.parametrize("case", ["everything", "adapter"])
def test_two_ranks_measure_of_themselves_what_one_rank_does(folders, case):
    sampled = ("recovery/before", "recovery/after", "recovery/gain")
    for one, two in zip(*(load(folders[world], f"measured-{case}")["log"] for world in (1, 2)), strict=True):
        names = {name for name in one if name.startswith(("diagnostics/", "objective/"))}
        assert {"diagnostics/initial_kl", "objective/cosine", "diagnostics/localization/pairs"} <= names
        for name in names:
            if not name.endswith(sampled):
                assert two[name] == pytest.approx(one[name], rel=1e-4, abs=1e-6), name
    assert two["diagnostics/initial_kl"] > 1e-4


@pytest.mark.parametrize("rank", [0, 1])
def test_what_two_ranks_measure_changes_no_bit_of_their_gradients(folders, rank):
    without, measured = (load(folders[2], f"measured-{case}", rank)["steps"] for case in ("nothing", "everything"))
    for a, b in zip(without, measured, strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)
