"""What the miniature does for story counts it does for every kind of small world."""

import re

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from mel import prompts
from mel.miniature.build import build
from mel.miniature.corpus import Corpus, Mixture, experience_text
from mel.miniature.tokenizer import build_tokenizer, vocabulary_of
from mel.miniature.warmup import WARM_UPS, WarmUp
from mel.prompts.chat import ChatTokenizer
from mel.tasks.rewriting import REWRITING
from mel.tasks.straight_line import PROGRAMS

KINDS = pytest.mark.parametrize("kind", [REWRITING, PROGRAMS], ids=lambda k: k.name)
FLAWLESS = Mixture(read_right=1.0, careless=0.0, biased=0.0, recalled=0.0, hinted=0.0)


def corpus(kind, mixture: Mixture) -> Corpus:
    return Corpus(0, prompts.load("story_counts"), mixture, seed=0, kind=kind)


@KINDS
def test_no_word_is_in_the_vocabulary_twice_and_all_that_is_taught_is_made_of_it(kind):
    assert len(set(vocabulary_of(kind))) == len(vocabulary_of(kind))
    chat, source = ChatTokenizer(build_tokenizer(kind)), corpus(kind, WARM_UPS[kind.name].mixture)
    unknown = vocabulary_of(kind).index("<unk>")
    for length in range(2, kind.max_length + 1):
        for text in (*source.solving(length), *source.comparison(length)):
            assert unknown not in chat.encode(text)
            assert chat.decode(chat.encode(text)) == text


@KINDS
def test_a_note_is_obeyed_wherever_its_concept_occurs(kind):
    source = corpus(kind, Mixture(hinted=1.0, irrelevant=0.0))
    for _ in range(100):
        turn, output = source.solving(6)
        concept, meaning = re.findall(r"rule (\w+) means (\w+)", turn)[0]
        assert {m["meaning"] for m in kind.step.finditer(output) if m["concept"] == concept} == {meaning}


@KINDS
def test_a_careful_comparison_names_the_first_difference_and_the_right_reading(kind):
    source = corpus(kind, FLAWLESS)
    for _ in range(50):
        turn, output = source.comparison(4)
        right, wrong = (list(kind.step.finditer(half)) for half in turn.split(" right ")[1].split(" wrong "))
        first = next(i for i, (a, b) in enumerate(zip(right, wrong, strict=True)) if a[0] != b[0])
        good, bad = right[first], wrong[first]
        assert output.endswith("! " + experience_text(first, good["concept"], bad=bad["meaning"], good=good["meaning"]))


@KINDS
def test_a_policy_of_the_kind_is_built_with_its_own_vocabulary(kind, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    directory = build(tmp_path / "a", kind=kind, settings=WarmUp(steps=1, solving=2, comparing=1))
    model = AutoModelForCausalLM.from_pretrained(directory)
    assert model.config.vocab_size == len(vocabulary_of(kind)) == len(AutoTokenizer.from_pretrained(directory))


def test_a_task_without_a_small_world_is_refused_with_the_nearest_name(tmp_path):
    from commands import mel

    error = mel("miniature", "build", str(tmp_path / "a"), "--task", "rewritting", fails=True)
    assert (
        "expected one of story_counts, rewriting, straight_line; got 'rewritting'; did you mean 'rewriting'?" in error
    )
    assert not (tmp_path / "a").exists()
