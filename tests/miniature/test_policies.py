import json
import shutil

import pytest

pytest.importorskip("transformers")

from mel.hosts.local import LocalGenerator
from mel.miniature import policies
from mel.miniature.model import SIZES
from mel.miniature.probe import facts as facts_of
from mel.prompts.chat import ChatTokenizer
from mel.tasks.story_counts import StoryCounts


def test_the_default_world_and_two_others_are_shipped():
    assert policies.worlds()[0] == 0
    assert len(policies.worlds()) == 3


@pytest.mark.parametrize("world", policies.worlds())
def test_a_shipped_policy_is_what_its_card_says(world):
    directory = policies.path(world)
    card = json.loads((directory / policies.CARD).read_text(encoding="utf-8"))
    assert card["world"] == world
    assert card["size"] in SIZES
    assert set(card["facts"]) == {"5", "8"}


def test_a_world_that_is_not_shipped_is_refused_with_what_to_do():
    with pytest.raises(ValueError, match=r"no policy of world 77 .* `mel miniature build DIRECTORY --world 77`"):
        policies.path(77)


def test_changed_weights_are_refused_with_both_sums(tmp_path):
    copy = tmp_path / "world0"
    shutil.copytree(policies.path(0), copy)
    weights = copy / policies.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    with pytest.raises(ValueError, match=r"expected sha256 [0-9a-f]{64} .*, got [0-9a-f]{64}; the file is damaged"):
        policies.check(copy)


def test_the_shipped_policy_counts_reads_its_misconceptions_and_uses_hints():
    directory = policies.path(0)
    generator = LocalGenerator.from_directory(directory)
    tokenizer = ChatTokenizer(generator.tokenizer)
    facts = facts_of(generator, tokenizer, StoryCounts(), count=40)
    # Bounds far outside the sampling error of 40 problems around the card's figures.
    assert facts["known_right"] > 0.97
    assert facts["misconceived_right"] < 0.03
    assert facts["unreadable"] < 0.1
    assert 0.05 < facts["solved_greedy"] < 0.4
    assert facts["parsed"] > 0.8
    assert facts["located"] > 0.45
    assert facts["replay_start_true"] > facts["replay_start_none"] > facts["replay_start_false"]
    assert facts["replay_bifurcation_true"] > facts["replay_bifurcation_none"]
