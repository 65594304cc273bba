"""Every credit rule run to its end on groups written by hand, with numbers worked out beside."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest
from stories import (
    PROMPTS,
    RIGHT,
    TASK,
    WRONG_AT_2,
    WRONG_AT_3,
    Canned,
    bytes_bpe,
    candidate,
    group,
    replayed,
    words,
)

from mel.methods import (
    CREDITS,
    CreditSettings,
    LearnedReward,
    MetaExperienceSettings,
    Surroundings,
    build,
    credit_settings,
    drive,
)
from mel.methods.credit.blockwise import BlockwiseSettings
from mel.methods.credit.contrast import ContrastSettings
from mel.methods.credit.first_error import FirstErrorSettings
from mel.methods.credit.process_reward import ProcessRewardSettings
from mel.ports import Logprobs, Ratings, TokenRewards
from mel.requests import Rate, Request, Reward, Score, Verify
from mel.types import Group, Outcome

AT = Surroundings(
    tokenizer=words(),
    prompts=PROMPTS,
    steps=TASK.steps,
    rollout_max_tokens=44,
    rollout_temperature=0.8,
    rollout_top_p=0.9,
)
LENGTH = 21  # three steps of six words, `answer`, the number, the end

Advantages = list[list[list[float]]]


@dataclass
class Reads:
    """A scorer that gives every token of a target the log-probability that its context is worth."""

    of_context: Callable[[str], float]
    asked: list[Score] = field(default_factory=list)

    def score(self, request: Score) -> list[Logprobs]:
        self.asked.append(request)
        texts = [words().decode(context) for context in request.contexts]
        return [(self.of_context(t),) * len(target) for t, target in zip(texts, request.targets, strict=True)]


@dataclass
class Rates:
    """A process reward model that answers with the next list."""

    answers: list[Ratings]
    asked: list[Rate] = field(default_factory=list)

    def rate(self, request: Rate) -> list[Ratings]:
        self.asked.append(request)
        return [self.answers.pop(0) for _ in request.solutions]


@dataclass
class Rewards:
    """A learned reward model that gives every token of a target the next value."""

    values: list[float]
    asked: list[Reward] = field(default_factory=list)

    def reward(self, request: Reward) -> list[TokenRewards]:
        self.asked.append(request)
        return [(self.values.pop(0),) * len(target) for target in request.targets]


def assigned(
    settings: CreditSettings,
    groups: Sequence[Group],
    advantages: Sequence[Sequence[float]],
    *,
    made: Outcome | None = None,
    generator: Canned | None = None,
    scorer: Reads | None = None,
    rater: Rates | None = None,
    rewarder: Rewards | None = None,
    at: Surroundings = AT,
) -> Advantages:
    outcomes = {} if made is None else {"meta_experience": made}
    requests = settings.build(at).assign(groups, advantages, outcomes)
    found = drive(requests, generator or Canned([]), TASK, scorer, rater, rewarder)
    assert found is not None
    assert [[len(r) for r in g] for g in found] == [[len(r.token_ids) for r in g.rollouts] for g in groups]
    return found


def test_first_error_excuses_byte_level_tokens_up_to_the_space_before_the_step() -> None:
    item = replayed(candidate(tokenizer=bytes_bpe()), RIGHT, tokenizer=bytes_bpe())
    both = item.candidate.pair.group
    at = replace(AT, tokenizer=bytes_bpe())
    ((right, wrong),) = assigned(FirstErrorSettings(), [both], [[1.0, -0.5]], made=Outcome(replayed=(item,)), at=at)
    excused = len(bytes_bpe().encode("1) finds plus 3 = 53"))
    assert right == [1.0] * len(right)
    assert wrong == [0.0] * excused + [-0.5] * (len(wrong) - excused)


def test_first_error_in_its_other_forms_splits_at_the_same_token() -> None:
    item = replayed(candidate(), RIGHT)
    both, made = item.candidate.pair.group, Outcome(replayed=(item,))
    ((_, cliff),) = assigned(FirstErrorSettings(form="cliff"), [both], [[1.0, -1.0]], made=made)
    assert cliff == pytest.approx([-1 / 7] * 6 + [-8 / 7] * 15)
    vppo = FirstErrorSettings(form="vppo", shorten="none")
    ((right, wrong),) = assigned(vppo, [both], [[1.0, -1.0]], made=made)
    assert (right[0], wrong[0], wrong[6]) == pytest.approx((3 / 7, 0.5 - 4 / 7, -4 / 7))


def test_continuations_from_the_ends_of_steps_say_what_each_step_is_worth() -> None:
    # Both solutions begin with step 1, which is continued once: right. After step 2 of the right one: right; after the
    # wrong one's: wrong. Steps 3 are the verdicts. Rewards (1, 1, 1) and (1, -1, -1).
    both = group(RIGHT, WRONG_AT_2)
    answers = ["2) sorts same 2 = 53 3) loses minus 5 = 48 answer 48", "3) loses minus 5 = 48 answer 48", None]
    generator = Canned([[*answers]])
    settings = ProcessRewardSettings(samples=1, outcome=0.0, combine="sum")
    ((right, wrong),) = assigned(settings, [both], [[1.0, -1.0]], generator=generator)
    ((prompts, sampling),) = generator.asked
    begins = [words().decode(prompt[len(both.prompt_ids) :]) for prompt in prompts]
    assert begins == [
        "1) finds plus 3 = 53",
        "1) finds plus 3 = 53 2) sorts same 2 = 53",
        "1) finds plus 3 = 53 2) sorts minus 2 = 51",
    ]
    assert (sampling.max_tokens, sampling.temperature, sampling.top_p) == (44, 0.8, 0.9), "as the rollouts"
    # Per token of the other: -1 / 21 and 3 / 21. Spans 6, 6 and 9 tokens; returns from behind.
    assert right == pytest.approx([3 + 1.0] * 6 + [2 + 15 / 21] * 6 + [1 + 9 / 21] * 9)
    assert wrong == pytest.approx([-1 - 3.0] * 6 + [-2 - 15 * 3 / 21] * 6 + [-1 - 9 * 3 / 21] * 9)


def test_outcome_and_process_advantages_are_added_with_their_factors() -> None:
    # Without ends to continue from (one part) the process is the verdict: 1 and -1, per token of the other -1/21, 1/21.
    settings = ProcessRewardSettings(most_steps=1, weight=0.5, outcome=2.0)
    found = assigned(settings, [group(RIGHT, WRONG_AT_2)], [[1.0, -1.0]], generator=Canned([[]]))
    assert found == [[pytest.approx([2 + 0.5 * 2] * LENGTH), pytest.approx([-2 - 0.5 * 2] * LENGTH)]]


@pytest.mark.parametrize(("label", "worth"), [("soft", 0.0), ("hard", 1.0)])
def test_a_label_is_the_share_of_right_continuations_or_whether_there_is_one(label: str, worth: float) -> None:
    # Two parts: steps 1 and 2, 3. The one end of each is continued twice, once right: p = 1/2 or 1; 2 p - 1.
    generator = Canned([["2) sorts same 2 = 53 3) loses minus 5 = 48 answer 48", None]])
    settings = ProcessRewardSettings(samples=2, most_steps=2, label=label, outcome=0.0, combine="sum")  # type: ignore[arg-type]
    ((_, wrong),) = assigned(settings, [group(RIGHT, WRONG_AT_2)], [[0.0, 0.0]], generator=generator)
    # The right one's total is worth + 1 over 21 tokens; the wrong one's last part of 15 tokens earns -1.
    per_token = (worth + 1) / 21
    assert wrong == pytest.approx([worth - 1 - 21 * per_token] * 6 + [-1 - 15 * per_token] * 15)


def test_uniform_groups_are_valued_only_where_asked_for() -> None:
    uniform = group(WRONG_AT_2, WRONG_AT_3)
    spared = assigned(ProcessRewardSettings(), [uniform], [[0.0, 0.0]], generator=Canned([[]]))
    assert spared == [[[0.0] * LENGTH] * 2]
    generator = Canned([[None] * 3])  # the shared end of step 1, and both ends of step 2: nothing comes out right
    valued = assigned(ProcessRewardSettings(samples=1, groups="all"), [uniform], [[0.0, 0.0]], generator=generator)
    assert len(generator.asked[0][0]) == 3
    assert valued[0][0] != [0.0] * LENGTH


def test_a_process_reward_model_rates_the_texts_of_the_steps() -> None:
    rater = Rates([(1.0, 1.0, 0.5), (1.0, 0.0, 0.5)])
    settings = ProcessRewardSettings(source="model", model="some/prm", outcome=0.0, combine="sum")
    ((right, wrong),) = assigned(settings, [group(RIGHT, WRONG_AT_2)], [[1.0, -1.0]], rater=rater)
    assert rater.asked[0].solutions[1] == ("1) finds plus 3 = 53", "2) sorts minus 2 = 51", "3) loses minus 5 = 46")
    # Rewards (1, 1, 0) and (1, -1, 0): per token of the other 0 and 2/21.
    assert right == pytest.approx([2.0] * 6 + [1.0] * 6 + [0.0] * 9)
    assert wrong == pytest.approx([0 - 2.0] * 6 + [-1 - 15 * 2 / 21] * 6 + [-9 * 2 / 21] * 9)
    assert settings.reward_model is not None
    assert settings.reward_model.path == "some/prm"


def test_an_implicit_reward_is_summed_over_the_tokens_of_a_step() -> None:
    rewarder = Rewards([0.1, -0.1])
    settings = ProcessRewardSettings(source="implicit", beta=0.2, learning_rate=1e-4, outcome=0.0, combine="sum")
    both = group(RIGHT, WRONG_AT_2)
    ((right, wrong),) = assigned(settings, [both], [[1.0, -1.0]], rewarder=rewarder)
    (request,) = rewarder.asked
    assert request.outcomes == (True, False)
    assert request.contexts == (both.prompt_ids,) * 2
    assert request.targets == tuple(r.token_ids for r in both.rollouts)
    # 0.1 a token against -0.1 a token of the other: 0.2 for each token from the step on.
    assert right == pytest.approx([4.2] * 6 + [3.0] * 6 + [1.8] * 9)
    assert wrong == pytest.approx([-4.2] * 6 + [-3.0] * 6 + [-1.8] * 9)
    assert settings.learned_reward == LearnedReward(beta=0.2, learning_rate=1e-4)
    assert ProcessRewardSettings().learned_reward is None


def test_the_solution_keeps_the_carriers_advantage_and_the_answer_earns_its_form() -> None:
    # Wrong rollouts: one states an answer (1), one does not (0); right: 1. All: 2/3. kappa 1:
    # wrong (1 + 0 + 2/3) / 3 = 5/9, right (1 + 2/3) / 2 = 5/6.
    both = group(RIGHT, WRONG_AT_2, "1) finds plus 3 answer")
    settings = BlockwiseSettings(marks=["answer"], rewards=["form"], weigh="token")
    ((right, wrong, malformed),) = assigned(settings, [both], [[2.0, -1.0, -1.0]])
    assert right == pytest.approx([2.0] * 18 + [1 / 6] * 3)
    assert wrong == pytest.approx([-1.0] * 18 + [4 / 9] * 3)
    assert malformed == pytest.approx([-1.0] * 4 + [-5 / 9] * 2)


def test_blocks_weigh_alike_under_a_mean_over_tokens() -> None:
    settings = BlockwiseSettings(marks=["answer"], rewards=["form"])
    ((right, _),) = assigned(settings, [group(RIGHT, WRONG_AT_2)], [[2.0, -2.0]])
    # 18 and 3 of 21 tokens: factors 21/18 and 21/3. Both state an answer, so that block earns nothing.
    assert right == pytest.approx([2 * 21 / 18] * 18 + [0.0] * 3)
    assert sum(right) / len(right) == pytest.approx(2.0)


def test_tokens_that_the_right_peer_makes_likelier_count_more() -> None:
    # Two right, two wrong. After a right peer each token has probability 1/2, after a wrong one 1/4: evidence ln 2.
    both = group(RIGHT, WRONG_AT_2, RIGHT, WRONG_AT_3)
    scorer = Reads(lambda text: -math.log(2) if "answer 48" in text else -math.log(4))
    found = assigned(ContrastSettings(keep_mean=False), [both], [[1.0, -1.0, 1.0, -1.0]], scorer=scorer)
    # exp(ln 2) = 2 is clipped to 1.2, of which half counts: 1.1; for a wrong rollout exp(-ln 2) -> 0.8: 0.9.
    assert found == [[pytest.approx([a] * LENGTH) for a in (1.1, -0.9, 1.1, -0.9)]]
    (request,) = scorer.asked
    assert len(request.targets) == 8
    contexts = [words().decode(context) for context in request.contexts]
    assert contexts[0] == f"start 50 1) finds 3 2) sorts 2 3) loses 5 note {RIGHT}"
    assert all("answer 48" in c for c in contexts[::2])
    assert not any("answer 48" in c for c in contexts[1::2])


def test_by_default_the_mean_of_a_rollout_is_kept() -> None:
    both = group(RIGHT, WRONG_AT_2, RIGHT, WRONG_AT_3)
    found = assigned(ContrastSettings(), [both], [[1.0, -1.0, 1.0, -1.0]], scorer=Reads(lambda text: -float(len(text))))
    assert found == [[pytest.approx([a] * LENGTH) for a in (1.0, -1.0, 1.0, -1.0)]]


def test_one_sided_credit_reads_the_rollout_without_a_peer() -> None:
    both = group(RIGHT, WRONG_AT_2, RIGHT, WRONG_AT_3)
    scorer = Reads(lambda text: -math.log(2) if "note" in text else -math.log(4))
    settings = ContrastSettings(form="rlcsd", against="none", tau=math.log(2), strength=0.5, keep_mean=False)
    ((right, wrong, *_),) = assigned(settings, [both], [[1.0, -1.0, 1.0, -1.0]], scorer=scorer)
    shift = 0.5 * math.tanh(1)
    assert (right[0], wrong[0]) == (pytest.approx(1 + shift), pytest.approx(-1 + shift))


def test_a_rollout_without_peers_keeps_its_advantage_and_is_not_read() -> None:
    scorer = Reads(lambda text: 0.0)
    assert assigned(ContrastSettings(), [group(RIGHT, WRONG_AT_2)], [[1.0, -1.0]], scorer=scorer) == [
        [[1.0] * LENGTH, [-1.0] * LENGTH]
    ]
    assert scorer.asked[0].targets == ()


SETTINGS = [
    *(CREDITS[name]() for name in CREDITS),
    FirstErrorSettings(form="cliff"),
    FirstErrorSettings(form="vppo"),
    ProcessRewardSettings(source="model", model="some/prm"),
    ProcessRewardSettings(source="implicit"),
    ContrastSettings(form="rlcsd", wrong_peers=3),
]


def any_answer(request: Request) -> list:
    if isinstance(request, Score | Reward):
        return [(0.0,) * len(target) for target in request.targets]
    if isinstance(request, Rate):
        return [(0.5,) * len(steps) for steps in request.solutions]
    if isinstance(request, Verify):
        return TASK.verify(request.problems, request.responses)
    return Canned([[None] * len(request.prompts)]).generate(request.prompts, request.sampling)


def kinds(settings: CreditSettings, groups: Sequence[Group]) -> list[str]:
    """The names of the requests that the rule makes of these groups, in order."""
    requests = settings.build(AT).assign(groups, [[0.0] * len(g.rollouts) for g in groups], {})
    seen: list[str] = []
    try:
        request: Request = next(requests)
        while True:
            seen.append(type(request).__name__)
            request = requests.send(any_answer(request))
    except StopIteration:
        return seen


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: s.name)
def test_the_requests_are_the_same_whatever_the_groups_hold(settings: CreditSettings) -> None:
    cut = replace(group("1) finds plus").rollouts[0], is_truncated=True)
    odd = replace(group(RIGHT, "answer 12"), rollouts=(*group(RIGHT, "answer 12", "").rollouts, cut))
    mixed = group(RIGHT, WRONG_AT_2, RIGHT, WRONG_AT_3)
    asked = kinds(settings, [mixed])
    for groups in ([], [group(RIGHT, RIGHT)], [group(WRONG_AT_2, WRONG_AT_3)], [odd], [mixed, odd, group(RIGHT)]):
        assert kinds(settings, groups) == asked


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"form": "cliff", "alpha": 0.3},
            "first_error: alpha belongs to form 'vppo'; set form: vppo, or leave alpha at",
        ),
        ({"share": 0.5}, r"first_error: share belongs to form 'cliff'; .* \(got 'excuse'\)"),
        ({"form": "vppo", "alpha": 2.0}, "first_error.alpha: expected a number from 0 to 1, got 2.0"),
    ],
)
def test_a_setting_of_another_form_is_refused(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        credit_settings("first_error", values)
    assert credit_settings("first_error", FirstErrorSettings(form="cliff", share=0.5).model_dump()) is not None


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("contrast", {"tau": 0.1}, r"contrast: tau belongs to form 'rlcsd'; .* \(got 'cepo'\)"),
        ("contrast", {"form": "rlcsd", "clip": 0.3}, r"contrast: clip belongs to form 'cepo'"),
        ("contrast", {"against": "none", "wrong_peers": 2}, r"contrast: wrong_peers belongs to against 'wrong'"),
        ("process_reward", {"combine": "sum", "temperature": 1.0}, r"temperature belongs to combine 'min'"),
        ("process_reward", {"beta": 0.1}, r"beta belongs to source 'implicit'; .* \(got 'monte_carlo'\)"),
        ("process_reward", {"source": "implicit", "samples": 2}, r"samples belongs to source 'monte_carlo'"),
    ],
)
def test_a_setting_without_effect_is_refused(name: str, values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        credit_settings(name, values)


def test_a_model_is_needed_exactly_where_it_is_the_source() -> None:
    for values in ({"source": "model"}, {"model": "some/prm"}):
        with pytest.raises(ValueError, match="source 'model' and a model go together"):
            credit_settings("process_reward", values)


def test_blocks_need_a_reward_each() -> None:
    for values in ({"marks": ["a", "b"]}, {"marks": [], "rewards": []}, {"marks": [""]}):
        with pytest.raises(ValueError, match="blockwise: expected one reward per mark"):
            credit_settings("blockwise", values)


def test_a_credit_that_leaves_nothing_of_a_carrier_is_refused() -> None:
    vppo, mel = FirstErrorSettings(form="vppo"), MetaExperienceSettings()
    for carrier in ("rloo", "rft", "reinforce_pp"):
        with pytest.raises(
            ValueError, match=rf"does not use the carrier's advantages, and carrier '{carrier}' differs"
        ):
            build(at=AT, carrier=carrier, credit=vppo, auxiliaries=[mel])
    for carrier in ("grpo", "dr_grpo", "dapo", "gspo"):
        assert build(at=AT, carrier=carrier, credit=vppo, auxiliaries=[mel]).credit.name == "first_error"


def test_a_credit_that_reads_solutions_is_not_built_without_surroundings() -> None:
    for name in set(CREDITS) - {"outcome"}:
        with pytest.raises(ValueError, match=f"credit '{name}' reads solutions and needs surroundings"):
            CREDITS[name]().build(None)


def test_a_method_knows_in_which_phases_its_credit_generates() -> None:
    method = build(at=AT, credit="process_reward", auxiliaries=[MetaExperienceSettings()])
    assert method.phases == ("construct", "replay", "step_values")
    assert build(at=AT, credit="process_reward").reads_text
    assert not build(at=AT).reads_text
