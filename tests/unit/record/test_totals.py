"""Tokens so far against what was really generated, from lines as a trainer logs them: means over generation batches."""

from collections import defaultdict

import pytest

from mel.record.metric_names import generated_in, is_generated
from mel.record.totals import Totals

ROLLOUT, PHASE, ROWS = 100.0, 10.0, 7.0


def train(steps: int, *, per_batch: int, logging_steps: int, logged=(), start: int = 0, first: int = 0):
    """Lines of a trainer that uses a generation batch for `per_batch` optimizer steps, or makes several a step.

    Args:
        per_batch: optimizer steps per batch; negative: batches per optimizer step.
        first: number of the first batch; batch i has 100 + i tokens in rollouts, 10 in a phase of its own name.

    Returns:
        The lines, and the number of batches there were.
    """
    totals, lines, gathered, batch = Totals(list(logged), start=start), [*logged], defaultdict(list), first
    for step in range(start + 1, start + steps + 1):
        is_due = per_batch < 0 or (step - start - 1) % per_batch == 0
        for _ in range(max(1, -per_batch) if is_due else 0):
            totals.add_batch()
            values = {"reward/mean": 0.5, "tokens/rollout": ROLLOUT + batch, "tokens/hint": PHASE, "tokens/rows": ROWS}
            for name, value in values.items():
                gathered[name].append(value)
            batch += 1
        gathered["loss"].append(0.1)
        if step % logging_steps == 0:
            line = {name: sum(found) / len(found) for name, found in gathered.items()}
            if "reward/mean" in line:
                line |= totals.after(step, line)
            lines.append({"step": step, **line})
            gathered.clear()
    return lines, batch


def of_batches(count: int) -> tuple[float, float]:
    """Tokens generated and trained in the first so many batches, summed one by one."""
    return (
        sum(ROLLOUT + i + PHASE for i in range(count)),
        sum(ROLLOUT + i + ROWS for i in range(count)),
    )


def last(lines) -> tuple[float, float]:
    found = [line for line in lines if "tokens/generated" in line][-1]
    return found["tokens/generated"], found["tokens/trained"]


@pytest.mark.parametrize("logging_steps", [1, 2, 3, 6])
@pytest.mark.parametrize(
    # steps_per_generation 1, 2, 3 times accumulation; 1 and 3 times with num_iterations 2; half of it.
    "per_batch",
    [1, 2, 3, 2 * 1, 2 * 3, -2],
)
def test_every_token_is_counted_once(per_batch: int, logging_steps: int) -> None:
    lines, batches = train(12, per_batch=per_batch, logging_steps=logging_steps)
    assert batches == {1: 12, 2: 6, 3: 4, 6: 2, -2: 24}[per_batch]
    assert last(lines) == pytest.approx(of_batches(batches))


def test_by_hand_a_batch_that_serves_two_steps() -> None:
    lines, _ = train(3, per_batch=2, logging_steps=1)
    # Batches at steps 1 and 3; the line of step 2 has none and says nothing about tokens.
    assert [line.get("tokens/generated") for line in lines] == [110.0, None, 110.0 + 111.0]
    assert [line.get("tokens/trained") for line in lines] == [107.0, None, 107.0 + 108.0]


@pytest.mark.parametrize("per_batch", [1, 2])
def test_a_resumed_run_goes_on_from_its_sums(per_batch: int) -> None:
    before, made = train(4, per_batch=per_batch, logging_steps=1)
    both, batches = train(4, per_batch=per_batch, logging_steps=1, logged=before, start=4, first=made)
    assert last(both) == pytest.approx(of_batches(batches))
    # An evaluation's line is no line of training.
    between = {"step": 4, "evaluation/L5/pass_at_1": 0.5}
    again, _ = train(4, per_batch=per_batch, logging_steps=1, logged=[*before, between], start=4, first=made)
    assert last(again) == last(both)


def test_steps_that_were_killed_before_they_were_logged_count_as_the_ones_after_them() -> None:
    before, _ = train(4, per_batch=1, logging_steps=4)
    # Killed at a checkpoint of step 6, with lines at 4 and 8: batches 6 and 7 are averaged, four were made.
    lines, _ = train(2, per_batch=1, logging_steps=4, logged=before, start=6, first=6)
    assert last(lines)[0] == pytest.approx(of_batches(4)[0] + 4 * (ROLLOUT + 6.5 + PHASE))


def test_tokens_of_any_phase_are_generated_and_no_others() -> None:
    assert [p for p in ("rollout", "construct", "replay", "hint") if not is_generated(f"tokens/{p}")] == []
    others = ("tokens/rows", "tokens/rows_context", "tokens/generated", "tokens/trained", "time_s/hint", "tokens")
    assert [p for p in others if is_generated(p)] == []
    assert generated_in({"tokens/rollout": 5, "tokens/hint": 2.0, "tokens/rows": 9, "reward/mean": 1.0}) == 7.0
