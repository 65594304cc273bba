"""A row's system prompt, solved examples and earlier turns come first in whatever the policy is asked about it."""

import pytest
import tiny
from datasets import Dataset

from mel import prompts
from mel.hosts.trl import MELTrainer
from mel.hosts.trl.problems import lines_as_steps, opening_of, problem_of
from mel.methods import Surroundings, build
from mel.methods.credit.contrast import ContrastSettings
from mel.prompts.chat import ChatTokenizer

EXPERIENCE = "w30 w1 w31 w5"
"""Under SECTIONS: s* is step 1, the heuristic w5."""
SECTIONS = """
step_label = ""
step_reference = 'w(\\d+)'
[headings]
failure = 'w30'
heuristic = 'w31'
"""
PROMPTS = {
    "solve.txt": "{problem}",
    "construct.txt": "w33 {problem} w34 {right} w35 {wrong}",
    "replay.txt": "w36 {problem} w37 {experience}",
    "peer.txt": "w33 {problem} w34 {solution}",
    "sections.toml": SECTIONS,
}


class Scripted(MELTrainer):
    """Its engine answers by a script: rollouts of which every second is right, an experience, a right replay."""

    def _generate_single_turn(self, prompt_ids, *args, **kwargs):
        self.__dict__.setdefault("asked", []).append([tuple(ids) for ids in prompt_ids])
        texts = {1: ["w1", "w2"], 2: [EXPERIENCE], 3: ["w1"]}[len(self.asked)]
        return [ids(f"{texts[i % len(texts)]} <end>") for i in range(len(prompt_ids))], None


def ids(text):
    return tiny.tokenizer().encode(text, add_special_tokens=False)


def turn(role, content):
    return {"role": role, "content": content}


def asked(tmp_path, prompts, **changes):
    """Prompts of the rollouts, of construction and of replay, each problem's once, as the engine got them."""
    for name, text in PROMPTS.items():
        (tmp_path / name).write_text(text)
    args = tiny.config(tmp_path / "run", max_steps=1, mel_prompts=str(tmp_path), mel_pairs_per_group=1, **changes)
    # Replays begin with x alone, so that a prompt ends where the assistant's turn begins.
    args.mel_replay_from, args.mel_target, args.mel_context = "start", "experience", "retrospective"
    trainer = tiny.trainer(Scripted, args, train_dataset=Dataset.from_list([{"prompt": p} for p in prompts]))
    trainer.train()
    return [sorted(set(call)) for call in trainer.asked], trainer


FEW_SHOT = [
    [
        turn("system", f"w2{i} w29"),
        turn("user", f"w1{i}"),
        turn("assistant", f"w1{i} w39"),
        turn("user", f"w{i} w7"),
    ]
    for i in range(2)
]
DIALOGUE = [
    [
        turn("user", f"w1{i}"),
        turn("assistant", "w38"),
        turn("user", "w11"),
        turn("assistant", "w32"),
        turn("user", f"w{i}"),
    ]
    for i in range(2)
]
SYSTEM_OF_ONE = [[turn("system", "w29"), turn("user", "w3")], [turn("user", "w4")]]


def rendered(turns, text):
    before = "".join(f"<{t['role']}> {t['content']} <end> " for t in turns)
    return tuple(ids(f"{before}<user> {text} <end> <assistant>"))


@pytest.mark.parametrize("prompts", [FEW_SHOT, DIALOGUE, SYSTEM_OF_ONE])
def test_construction_and_replay_begin_with_the_turns_that_the_rollouts_began_with(tmp_path, prompts):
    (rollouts, construct, replay), _ = asked(tmp_path, prompts)
    split = [(p[:-1], p[-1]["content"]) for p in prompts]
    assert rollouts == sorted(rendered(turns, x) for turns, x in split)
    assert construct == sorted(rendered(turns, f"w33 {x} w34 w1 w35 w2") for turns, x in split)
    assert replay == sorted(rendered(turns, f"w36 {x} w37 {EXPERIENCE}") for turns, x in split)


class Reading(Scripted):
    """Remembers what it was asked to score."""

    def _get_per_token_logps_and_entropies(self, model, input_ids, attention_mask, *args, **kwargs):
        rows = zip(input_ids, attention_mask.bool(), strict=True)
        self.__dict__.setdefault("read", []).extend(tuple(ids[mask].tolist()) for ids, mask in rows)
        return super()._get_per_token_logps_and_entropies(model, input_ids, attention_mask, *args, **kwargs)


def test_a_credit_rule_without_auxiliaries_asks_behind_those_turns_too(tmp_path):
    for name, text in PROMPTS.items():
        (tmp_path / name).write_text(text)
    at = Surroundings(
        tokenizer=ChatTokenizer(tiny.tokenizer()),
        prompts=prompts.load(str(tmp_path), ("peer",)),
        steps=lines_as_steps,
        rollout_max_tokens=6,
    )
    rows = Dataset.from_list([{"prompt": p} for p in FEW_SHOT])
    args = tiny.config(tmp_path / "run", max_steps=1)
    trainer = tiny.trainer(Reading, args, train_dataset=rows, method=build(credit=ContrastSettings(), at=at))
    trainer.train()
    # Each rollout, w1 or w2, is read behind the problem with a right peer in it and behind that with a wrong one.
    expected = {
        rendered(p[:-1], f"w33 {p[-1]['content']} w34 {peer}") + tuple(ids(f"{rollout} <end>"))
        for p in FEW_SHOT
        for peer in ("w1", "w2")
        for rollout in ("w1", "w2")
    }
    assert {read for read in trainer.read if ids("w33")[0] in read} == expected


def test_a_plain_text_prompt_has_no_turns_before_it():
    assert opening_of("w1 w2") == ()


def test_turns_before_the_last_are_kept_as_they_are():
    prompt = [{"role": "assistant", "content": None, "tool_calls": []}, turn("user", "w1")]
    assert opening_of(prompt) == (prompt[0],)


@pytest.mark.parametrize("roles", [["system"], ["user", "assistant"], ["user", "tool"]])
def test_a_conversation_that_does_not_end_with_the_user_is_refused_with_its_roles(roles):
    with pytest.raises(
        ValueError, match=rf"ends with the user's turn.*got the roles {', '.join(roles)}: .*plain_method"
    ):
        opening_of([turn(role, "w1") for role in roles])


def test_a_message_in_parts_is_the_text_of_its_parts():
    parts = [{"type": "text", "text": "w1"}, {"type": "text", "text": "w2"}]
    assert problem_of({"prompt": [{"role": "user", "content": parts}]}).text == "w1\nw2"
