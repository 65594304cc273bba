import json

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from mel.miniature import policies
from mel.miniature.build import build
from mel.miniature.model import Size, build_model
from mel.miniature.muon import orthogonalized
from mel.miniature.tokenizer import build_tokenizer
from mel.miniature.warmup import WarmUp, output_loss
from mel.record.provenance import sha256_of

BRIEF = WarmUp(steps=3, solving=4, comparing=2)


def test_a_build_is_an_ordinary_model_directory_and_a_rebuild_has_the_same_weights(tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    first = build(tmp_path / "a", world=5, settings=BRIEF)
    again = build(tmp_path / "b", world=5, settings=BRIEF)
    other = build(tmp_path / "c", world=6, settings=BRIEF)
    sums = [sha256_of(d / policies.WEIGHTS) for d in (first, again, other)]
    assert sums[0] == sums[1] != sums[2]
    assert AutoModelForCausalLM.from_pretrained(first).config.model_type == "qwen3"
    assert AutoTokenizer.from_pretrained(first).chat_template
    policies.check(first)


def test_the_card_says_how_the_policy_was_built_and_measured(tmp_path):
    directory = build(tmp_path / "a", world=5, settings=BRIEF, measure=lambda model, tokenizer, world: {"w": world})
    card = json.loads((directory / policies.CARD).read_text(encoding="utf-8"))
    assert (card["world"], card["size"], card["warm_up"]["steps"], card["facts"]) == (5, "s", 3, {"w": 5})


def test_a_directory_that_holds_something_is_not_written_to(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ValueError, match="holds something: name a new directory"):
        build(tmp_path, settings=BRIEF)


def test_an_unknown_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match="size: expected one of s, m, l; got 'xl'"):
        build(tmp_path / "a", size="xl", settings=BRIEF)


def test_building_a_model_leaves_the_random_state_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    build_model(Size(width=32, layers=1, heads=1), seed=9)
    assert torch.rand(1) == expected


def test_the_loss_is_the_mean_over_output_tokens_of_each_sequence_alone():
    model = build_model(Size(width=32, layers=2, heads=2, head_dim=16), seed=0).eval()
    sequences = [([3, 7, 9, 11, 13], 2), ([3, 8, 10], 2)]
    tokens, total = 0, 0.0
    for ids, start in sequences:
        logp = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        total -= sum(logp[t - 1, ids[t]].item() for t in range(start, len(ids)))
        tokens += len(ids) - start
    assert tokens == 4
    assert output_loss(model, sequences).item() == pytest.approx(total / tokens, rel=1e-5)


def test_orthogonalized_matrices_have_singular_values_near_one():
    matrices = torch.randn(3, 20, 8, generator=torch.Generator().manual_seed(0))
    for shape in (matrices, matrices.mT):
        values = torch.linalg.svdvals(orthogonalized(shape))
        assert values.min() > 0.6
        assert values.max() < 1.3


def test_number_words_begin_near_their_neighbors():
    model, tokenizer = build_model(Size(width=64, layers=1, heads=1), seed=0), build_tokenizer()
    rows = model.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids(["50", "51", "73"])]
    assert rows.norm(dim=1).tolist() == pytest.approx([1.0, 1.0, 1.0], abs=1e-5)
