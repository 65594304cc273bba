import pytest

pytest.importorskip("transformers")

from mel import prompts
from mel.miniature.tokenizer import VOCABULARY, build_tokenizer
from mel.prompts.chat import ChatTokenizer
from mel.tasks.story_counts import Story, StoryCounts, solution_text, true_readings


@pytest.fixture(scope="module")
def chat() -> ChatTokenizer:
    return ChatTokenizer(build_tokenizer())


def test_no_word_is_in_the_vocabulary_twice():
    assert len(set(VOCABULARY)) == len(VOCABULARY)


def test_every_word_of_the_world_survives_the_round_trip(chat):
    words = " ".join(w for w in VOCABULARY if not w.startswith("<"))
    assert chat.decode(chat.encode(words)) == words
    assert len(chat.encode(words)) == len(words.split())


def test_problems_solutions_and_notes_hold_no_unknown_word(chat):
    unknown = VOCABULARY.index("<unk>")
    prompt_set = prompts.load("story_counts")
    for problem in StoryCounts(length=8).problems("test", 20):
        solution = solution_text(true_readings(Story.parse(problem.text)))
        note = "at 2) sorts not minus rule sorts means same"
        for text in (
            prompt_set.solve(problem.text),
            prompt_set.replay(problem.text, note),
            prompt_set.construct(problem.text, solution, solution),
        ):
            assert unknown not in chat.encode(text)


def test_a_conversation_ends_where_the_assistant_begins(chat):
    ids = chat.chat([{"role": "user", "content": "start 53 1) catches 4"}])
    assert [VOCABULARY[i] for i in ids] == ["<user>", "start", "53", "1)", "catches", "4", "<assistant>"]


def test_a_solution_can_be_cut_just_before_a_step(chat):
    solution = "rule sorts means same 1) catches plus 4 = 57 2) sorts minus 2 = 55 answer 55"
    ids = chat.encode(f"{solution} <eos>")
    kept = chat.token_index(ids, solution.index("2)"))
    assert chat.decode(ids[:kept]) == "rule sorts means same 1) catches plus 4 = 57"


def test_another_role_is_refused(chat):
    with pytest.raises(ValueError, match=r"roles tool: .*knows the roles user and assistant; got tool"):
        chat.chat([{"role": "tool", "content": "start 53"}])
