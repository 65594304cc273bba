"""What trackers get: our metric paths, a table of experiences per logged step; what a run owes them: nothing."""

import html
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugin_util import markdown_to_safe_html
from torch.utils.tensorboard import SummaryWriter
from transformers.integrations import TensorBoardCallback
from trl import GRPOTrainer

from mel.hosts.trl import MELTrainer
from mel.hosts.trl.stepwise import AfterStep, log_beside
from mel.hosts.trl.trackers import check_trackers
from mel.record.tracked import as_markdown, tracked_columns

TABLE = "experiences/text_summary"
COLUMNS = tracked_columns()


def events(path):
    """What TensorBoard reads of a run, from the one file that the run wrote."""
    (file,) = path.glob("**/events.out.tfevents.*")
    found = EventAccumulator(str(file), size_guidance={"tensors": 0})
    found.Reload()
    return found


def tables(path):
    """Step -> cells as TensorBoard's own page shows them, without the head."""
    found = events(path)
    if TABLE not in found.Tags()["tensors"]:
        return {}
    return {e.step: shown(e.tensor_proto.string_val[0].decode()) for e in found.Tensors(TABLE)}


def shown(markdown):
    """The cells of a Markdown table after TensorBoard has made a page of it."""
    rows = re.findall(r"<tr>(.*?)</tr>", str(markdown_to_safe_html(markdown)), flags=re.S)
    cells = [re.findall(r"<t[hd]>(.*?)</t[hd]>", row, flags=re.S) for row in rows]
    assert tuple(cells[0]) == COLUMNS
    return [dict(zip(COLUMNS, map(html.unescape, row), strict=True)) for row in cells[1:]]


def tracked(path, **changes):
    return tiny.config(path, report_to=["tensorboard"], **changes)


def test_a_tracker_gets_our_metric_paths_and_a_table_for_every_logged_step(tmp_path):
    trainer = tiny.mel_trainer(tracked(tmp_path), tiny.Experiences())
    trainer.train()
    found = events(tmp_path)
    for name in ("reward/mean", "experiences/kept", "tokens/rollout", "rows/real", "time_s/update"):
        logged = [(line["step"], pytest.approx(line[name])) for line in trainer.state.log_history if name in line]
        assert [(s.step, s.value) for s in found.Scalars(f"train/{name}")] == logged
        assert len(logged) == 3
    by_step = tables(tmp_path)
    assert list(by_step) == [1, 2, 3]
    # Two groups a batch, and of each group one kept experience, one that failed its replay, one that has no s*.
    for step, rows in by_step.items():
        assert [r["step"] for r in rows] == [str(step)] * 5
        assert [r["reason"] for r in rows] == ["kept", "kept", "failed_replay", "no_bifurcation", "failed_replay"]
    first = by_step[1][0]
    assert first["problem"].startswith("w")
    assert (first["bifurcation"], first["is_kept"], first["replay"]) == ("2", "True", "right | after<br>all")
    assert first["critique"] == "step 2 <b>adds</b> | it should *not*"
    assert by_step[1][3]["critique"] == by_step[1][3]["replay"] == ""


def test_a_trainer_of_grpo_arguments_alone_reports_too(tmp_path):
    """The default method on a random model: groups are mixed, and what it writes about them cannot be parsed."""
    lengths = {"max_completion_length": 40, "mel_construct_max_tokens": 8}
    tiny.trainer(MELTrainer, tracked(tmp_path, max_steps=1, **lengths)).train()
    rows = tables(tmp_path)[1]
    assert {r["is_kept"] for r in rows} == {"False"}
    assert {r["bifurcation"] for r in rows} == {""}


def test_a_line_without_a_new_generation_batch_brings_no_table(tmp_path):
    tiny.mel_trainer(tracked(tmp_path, steps_per_generation=2, max_steps=4), tiny.Experiences()).train()
    assert list(tables(tmp_path)) == [1, 3]
    assert [s.step for s in events(tmp_path).Scalars("train/loss")] == [1, 2, 3, 4]


def test_lines_further_apart_bring_the_latest_batch(tmp_path):
    tiny.mel_trainer(tracked(tmp_path, logging_steps=2, max_steps=4), tiny.Experiences()).train()
    assert {step: rows[0]["step"] for step, rows in tables(tmp_path).items()} == {2: "2", 4: "4"}


@pytest.mark.parametrize(
    ("changes", "auxiliary"),
    [({"mel_tracked_experiences": 0}, tiny.Experiences()), ({}, tiny.RowsFrom(tiny.some_rows))],
)
def test_no_table_where_none_is_asked_for_or_nothing_was_experienced(tmp_path, changes, auxiliary):
    tiny.mel_trainer(tracked(tmp_path, **changes), auxiliary).train()
    assert tables(tmp_path) == {}
    assert len(events(tmp_path).Scalars("train/reward/mean")) == 3


def test_reporting_leaves_training_as_it_is_bit_for_bit(tmp_path):
    stock = tiny.trainer(GRPOTrainer, tiny.config(tmp_path / "stock"))
    stock.train()
    # These experiences give no rows: what is left is stock GRPO.
    reporting = tiny.mel_trainer(tracked(tmp_path / "tracked"), tiny.Experiences())
    reporting.train()
    left, right = tiny.parameters(stock), tiny.parameters(reporting)
    assert all(torch.equal(left[name], right[name]) for name in left)
    assert len(tables(tmp_path / "tracked")) == 3


def test_without_a_tracker_none_is_imported_and_nothing_is_gathered(tmp_path):
    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
import tiny
trainer = tiny.mel_trainer(tiny.config({str(tmp_path)!r}, max_steps=1), tiny.Experiences())
trainer.train()
assert not trainer._learner._observers
print("tensorboard" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.split()[-1:] == ["False"], done.stdout + done.stderr


class FullDisk(SummaryWriter):
    """A tracker that takes metrics and refuses tables."""

    asked = 0

    def add_text(self, tag, *args, **kwargs):
        if tag == "experiences":
            self.asked += 1
            raise OSError("no space left")
        super().add_text(tag, *args, **kwargs)


def test_a_tracker_that_fails_is_named_once_and_training_goes_on(tmp_path, caplog):
    writer = FullDisk(str(tmp_path / "board"))
    callbacks = [TensorBoardCallback(writer)]
    trainer = tiny.mel_trainer(tiny.config(tmp_path / "run"), tiny.Experiences(), callbacks=callbacks)
    trainer.train()
    assert trainer.state.global_step == 3
    (warning,) = [r.getMessage() for r in caplog.records if r.name == "mel.hosts.trl.trackers"]
    assert warning.startswith("tensorboard took no table of experiences at step 1 (OSError: no space left)")
    assert writer.asked == 1
    assert len(events(tmp_path / "board").Scalars("train/reward/mean")) == 3


def test_metrics_beside_a_step_reach_trackers_and_take_nothing_from_its_line(tmp_path):
    beside = AfterStep(lambda step, model: log_beside(trainer, {"evaluation/held_out/pass_at_1": step / 4}))
    trainer = tiny.mel_trainer(tracked(tmp_path), tiny.RowsFrom(tiny.some_rows), callbacks=[beside])
    trainer.train()
    found = events(tmp_path)
    scores = [(s.step, s.value) for s in found.Scalars("train/evaluation/held_out/pass_at_1")]
    assert scores == [(1, 0.25), (2, 0.5), (3, 0.75)]
    for name in ("reward/mean", "objective/lambda", "loss"):
        assert [s.step for s in found.Scalars(f"train/{name}")] == [1, 2, 3]


@pytest.mark.parametrize(
    "text",
    [
        "a | b",
        "`a|b` and `",
        "*x* _y_ [z](http://w) ~~s~~",
        "\\| \\",
        "<script>1 < 2 & 3</script>",
        "| --- |",
        "&#124;",
    ],
)
def test_a_cell_shows_what_was_written(text):
    rows = [dict.fromkeys(COLUMNS, text), dict.fromkeys(COLUMNS, "next")]
    assert shown(as_markdown(rows)) == rows


def test_lines_of_a_text_stay_in_their_cell():
    (row,) = shown(as_markdown([dict.fromkeys(COLUMNS, "one\ntwo\r\nthree\u2028four\n")]))
    assert row["replay"] == "one<br>two<br>three<br>four"


def test_a_missing_or_unknown_tracker_is_refused_before_anything_is_made():
    check_trackers(["tensorboard"])
    check_trackers([])
    with pytest.raises(
        ValueError, match=r"trainer.report_to: unknown tracker 'tensorbord'; did you mean 'tensorboard'"
    ):
        check_trackers(["tensorbord"])


def test_a_tracker_that_is_not_installed_is_named_with_what_to_do(monkeypatch):
    monkeypatch.setattr("mel.hosts.trl.trackers.get_available_reporting_integrations", lambda: ["tensorboard"])
    with pytest.raises(ValueError, match=r"installed \(tensorboard\), got 'wandb': pip install wandb, or leave it out"):
        check_trackers(["tensorboard", "wandb"])
