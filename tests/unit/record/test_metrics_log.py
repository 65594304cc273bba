import math
from pathlib import Path

import pytest

from mel.record import MetricsError, MetricsLog


def test_a_step_is_one_line_and_comes_back_as_written(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.append(1, {"reward/mean": 0.25, "tokens/rollout": 640})
    log.append(2, {"reward/mean": 0.5})
    assert (tmp_path / "metrics.jsonl").read_text() == (
        '{"step": 1, "reward/mean": 0.25, "tokens/rollout": 640}\n{"step": 2, "reward/mean": 0.5}\n'
    )
    assert log.read() == [{"step": 1, "reward/mean": 0.25, "tokens/rollout": 640}, {"step": 2, "reward/mean": 0.5}]


def test_two_lines_of_one_step_read_as_one(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.append(5, {"reward/mean": 0.5})
    log.append(5, {"eval/pass": 0.1})
    assert log.read() == [{"step": 5, "reward/mean": 0.5, "eval/pass": 0.1}]


def test_numbers_that_json_cannot_say_are_not_lost(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.append(1, {"a": math.nan, "b": math.inf, "c": -math.inf})
    assert '"NaN"' in log.path.read_text()
    row = log.read()[0]
    assert math.isnan(row["a"])
    assert (row["b"], row["c"]) == (math.inf, -math.inf)


def test_an_empty_or_missing_log_has_no_steps(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    assert log.read() == []
    assert log.truncate_after(3) == 0


def test_truncating_drops_later_steps_and_half_a_line_and_says_how_many(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "a": 1}\n{"step": 2, "a": 2}\n{"step": 3, "a": 3}\n{"step": 4, "a"')
    assert MetricsLog(path).truncate_after(1) == 3
    assert path.read_text() == '{"step": 1, "a": 1}\n'


def test_a_truncated_log_continues_as_if_it_had_never_been_killed(tmp_path: Path) -> None:
    whole, killed = MetricsLog(tmp_path / "whole"), MetricsLog(tmp_path / "killed")
    for step in (1, 2, 3):
        whole.append(step, {"a": step / 3})
    killed.append(1, {"a": 1 / 3})
    killed.append(2, {"a": 99.0})
    with killed.path.open("a") as file:
        file.write('{"step": 3')
    resumed = MetricsLog(killed.path)
    assert resumed.truncate_after(1) == 2
    for step in (2, 3):
        resumed.append(step, {"a": step / 3})
    assert killed.path.read_bytes() == whole.path.read_bytes()


def test_a_reader_leaves_out_the_half_line_that_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "a": 1}\n{"step": 2, "a')
    assert MetricsLog(path).read() == [{"step": 1, "a": 1}]


def test_appending_to_half_a_line_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "a": 1}\n{"step": 2, "a')
    with pytest.raises(MetricsError, match=r"half-written .* truncate_after"):
        MetricsLog(path).append(2, {"a": 2})


def test_going_back_in_steps_is_refused(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.append(4, {"a": 1})
    with pytest.raises(MetricsError, match=r"expected a step >= 4.*got 3"):
        MetricsLog(log.path).append(3, {"a": 1})


@pytest.mark.parametrize("line", ["garbage", "[1, 2]", '{"a": 1}'])
def test_a_damaged_line_is_named_with_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"step": 1}}\n{line}\n{{"step": 2}}\n')
    with pytest.raises(MetricsError, match="line 2: expected a JSON object with a step"):
        MetricsLog(path).read()
