"""A diagnosis beside the step: behind the method's requests, counted apart from them, and absent if nobody asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stories import PROMPTS, RIGHT, TASK, WRONG_AT_2, Canned, group, words

from mel.methods import Diagnosis, DiagnosticsSettings, Method, Surroundings, drive
from mel.methods.carriers import CARRIERS
from mel.methods.credit.outcome import Outcome as OutcomeCredit
from mel.ports import Requests
from mel.record.metric_names import generated_in
from mel.step import Accounting, Alone, Rolled, learn

AT = Surroundings(tokenizer=words(), prompts=PROMPTS, steps=TASK.steps, rollout_max_tokens=44, inspector=TASK)
PLAIN = Method(carrier=CARRIERS["grpo"]().build(None), credit=OutcomeCredit())
GROUPS = (group(RIGHT, WRONG_AT_2), group(RIGHT, RIGHT), group(WRONG_AT_2, WRONG_AT_2), group(WRONG_AT_2, WRONG_AT_2))


def metrics(method: Method, *calls: list[str | None], step: int = 1) -> dict[str, float]:
    def answer(requests: Requests[Any]) -> Any:
        return drive(requests, Canned(list(calls)), TASK)

    rewards = tuple(tuple(of_group.rewards) for of_group in GROUPS)
    rolled = Rolled(groups=GROUPS, rewards=rewards, advantages=(0.0,) * 8)
    accounting = Accounting()
    accounting.tokens["rollout"] = 100
    learned = learn(method, rolled, step=step, answer=answer, ranks=Alone(), accounting=accounting)
    return dict(learned.metrics)


def test_groups_are_mixed_all_right_or_all_wrong() -> None:
    found = metrics(PLAIN)
    assert [found[f"reward/groups_{kind}"] for kind in ("mixed", "right", "wrong")] == [0.25, 0.25, 0.5]


def test_a_diagnosis_adds_its_own_and_changes_nothing_else() -> None:
    settings = DiagnosticsSettings(measures=["recovery", "localization"], every=2, samples=1)
    diagnosed = replace(PLAIN, diagnosis=Diagnosis(settings, AT, has_auxiliaries=False))
    plain, found = metrics(PLAIN), metrics(diagnosed, ["2) sorts same 2 = 53 answer 53", "answer 1"])
    assert {k: v for k, v in found.items() if "diagnostics" not in k} == plain
    # 8 words and the end, then 2 words and the end: tokens that no comparison at equal tokens counts.
    assert found["tokens/diagnostics"] == 9 + 3
    assert generated_in(found) == generated_in(plain) == 100
    assert found["diagnostics/localization/exact"] == 1.0
    assert "time_s/diagnostics" in found


def test_a_batch_that_is_not_looked_at_costs_no_token_and_asks_for_nothing() -> None:
    settings = DiagnosticsSettings(measures=["recovery"], every=2)
    diagnosed = replace(PLAIN, diagnosis=Diagnosis(settings, AT, has_auxiliaries=False))
    assert metrics(diagnosed, step=2) == metrics(PLAIN) | {"tokens/diagnostics": 0.0}
    quiet = replace(
        PLAIN, diagnosis=Diagnosis(DiagnosticsSettings(measures=["localization"]), AT, has_auxiliaries=False)
    )
    assert metrics(quiet, step=2) == metrics(PLAIN)
