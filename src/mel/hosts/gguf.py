"""A GGUF file as an ordinary model directory: float weights, fast tokenizer, chat template, all checked.

transformers reads GGUF, but leaves three things to its caller: a model so read refuses to be saved, its tokenizer lacks
the rule by which some vocabularies split numbers, and nothing says whether the weights are the file's.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from mel.model_path import check_new

DIGIT_RULES = frozenset({"smollm", "refact", "starcoder", "command-r", "codeshell", "exaone", "minerva-7b"})
"""Pre-tokenizers (`tokenizer.ggml.pre`) of GPT-2's kind that make every digit a token of its own."""

OTHER_RULES = frozenset(
    {"default", "gpt-2", "qwen2", "qwen35", "deepseek-r1-qwen", "llama-bpe", "llama3", "llama-v3", "tekken", "gpt-4o"}
)
"""Those that group digits, or that transformers converts with their rule for digits."""

SAMPLES = (
    "Tom has 14 apples. He buys 205 more, so 14 + 205 = 219.\n#### 219",
    "  two  spaces,\ttabs\nand lines\n\n",
    "naïve café, 漢字, 🙂",
)
"""Texts that a tokenizer must give back as they are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What an import found."""

    name: str
    architecture: str
    parameters: int
    compared: int
    """Tensors whose values were compared with the file's."""
    has_digit_rule: bool


def import_gguf(file: Path, output: Path, *, dtype: str = "float32") -> Imported:
    """Write the model of a GGUF file to ``output``, after comparing it with the file.

    Args:
        dtype: of the weights written: `float32` keeps the file's values exactly.

    Raises:
        ValueError: an output that holds something, or what transformers cannot convert, by name.
    """
    check_new(output)
    reader = _reader(file)
    _check_rule(file, reader)
    if not _field(reader, "tokenizer.chat_template"):
        raise ValueError(f"mel import: {file} holds no chat template (tokenizer.chat_template); mel needs one")
    model = _model(file, reader)
    tokenizer = _tokenizer(file, reader)
    compared = _compare(model, reader, file)
    _settle(model, tokenizer)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        check_tokenizer(AutoTokenizer.from_pretrained(folder), tokenizer, splits_digits=_splits_digits(reader))
    # Nothing is written before all is checked: a directory that exists is one that can be used.
    model.to(getattr(torch, dtype)).save_pretrained(output)
    tokenizer.save_pretrained(output)
    return Imported(
        name=_field(reader, "general.name") or file.stem,
        architecture=str(_field(reader, "general.architecture")),
        parameters=model.num_parameters(),
        compared=compared,
        has_digit_rule=_splits_digits(reader),
    )


def check_tokenizer(saved: Any, loaded: Any, *, splits_digits: bool) -> None:
    """Refuses a tokenizer that loses text, treats numbers otherwise than the file says, or has no end or template.

    Args:
        saved: as it comes back from the directory.
        loaded: as it went in.

    Raises:
        ValueError: what is wrong, with the text that shows it.
    """
    for text in SAMPLES:
        ids = saved.encode(text, add_special_tokens=False)
        back = saved.decode(ids, clean_up_tokenization_spaces=False)
        if back != text or ids != loaded.encode(text, add_special_tokens=False):
            raise ValueError(f"mel import: the tokenizer does not give {text!r} back; it makes {back!r} of it")
    pieces = saved.tokenize("2026")
    if splits_digits and len(pieces) != 4:
        raise ValueError(f"mel import: the file asks for one token per digit; the tokenizer splits 2026 into {pieces}")
    if saved.eos_token_id is None or saved.pad_token_id is None:
        raise ValueError("mel import: the file names no end-of-sequence token; a policy could never stop")
    turn = saved.apply_chat_template([{"role": "user", "content": "x"}], add_generation_prompt=True, tokenize=False)
    if saved.encode(turn, add_special_tokens=False).count(saved.unk_token_id) > 1 or "x" not in turn:
        raise ValueError(f"mel import: the chat template makes {turn!r} of one turn")


def _reader(file: Path) -> Any:
    try:
        from gguf import GGUFReader
    except ImportError:
        raise ValueError("mel import: needs the package gguf: pip install -e '.[gguf]' in the clone of mel") from None
    try:
        return GGUFReader(file)
    except (ValueError, OSError) as error:
        raise ValueError(f"mel import: {file} is no GGUF file that can be read: {error}") from None


def _field(reader: Any, name: str) -> Any:
    field = reader.get_field(name)
    return None if field is None else field.contents()


def _splits_digits(reader: Any) -> bool:
    """Whether the file's vocabulary makes every digit a token of its own."""
    return _field(reader, "tokenizer.ggml.pre") in DIGIT_RULES


def _check_rule(file: Path, reader: Any) -> None:
    """Refuses a vocabulary of GPT-2's kind that is split by a rule of which nothing is known here."""
    rule = _field(reader, "tokenizer.ggml.pre")
    if _field(reader, "tokenizer.ggml.model") == "gpt2" and rule not in DIGIT_RULES | OTHER_RULES | {None}:
        known = ", ".join(sorted(DIGIT_RULES | OTHER_RULES))
        raise ValueError(
            f"mel import: {file} splits text by tokenizer.ggml.pre {rule!r}; expected one of {known}. Take the model's "
            f"own directory instead, or add the rule to mel.hosts.gguf once it is known how it treats digits"
        )


def _tokenizer(file: Path, reader: Any) -> Any:
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    except (ValueError, KeyError, RuntimeError, TypeError) as error:
        kind = _field(reader, "tokenizer.ggml.model")
        raise ValueError(f"mel import: transformers cannot convert the tokenizer {kind!r} of {file}: {error}") from None
    if _splits_digits(reader) and len(tokenizer.tokenize("2026")) != 4:
        _split_digits(tokenizer)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    # The name of a file on this machine has no meaning on another.
    tokenizer.name_or_path = ""
    tokenizer.init_kwargs.pop("gguf_file", None)
    return tokenizer


def _split_digits(tokenizer: Any) -> None:
    from tokenizers import pre_tokenizers

    backend = tokenizer.backend_tokenizer
    digits: Any = pre_tokenizers.Digits(individual_digits=True)
    backend.pre_tokenizer = pre_tokenizers.Sequence([digits, backend.pre_tokenizer])


def _model(file: Path, reader: Any) -> Any:
    try:
        return AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    except (ValueError, KeyError, RuntimeError) as error:
        kind = _field(reader, "general.architecture")
        raise ValueError(
            f"mel import: transformers cannot convert the architecture {kind!r} of {file}: {error}"
        ) from None


def _settle(model: Any, tokenizer: Any) -> None:
    """Makes a model that was read from GGUF one that can be saved, with the tokenizer's own end and padding."""
    model.config.__dict__.pop("quantization_config", None)
    model.config._name_or_path = ""
    model.hf_quantizer, model.is_quantized = None, False
    for settings in (model.config, model.generation_config):
        settings.eos_token_id, settings.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id


def _compare(model: Any, reader: Any, file: Path) -> int:
    """How many tensors of the model hold exactly what the file holds.

    Rows may stand in another order, which rotary embeddings ask for in query and key.

    Raises:
        ValueError: a tensor that differs, or one of the file that the model has no place for, by name.
    """
    from gguf import get_tensor_name_map
    from gguf.constants import MODEL_ARCH_NAMES
    from gguf.quants import dequantize

    arch = next(a for a, name in MODEL_ARCH_NAMES.items() if name == _field(reader, "general.architecture"))
    names = get_tensor_name_map(arch, model.config.num_hidden_layers)
    held = {names.get_name(name, try_suffixes=(".weight", ".bias")): p for name, p in model.state_dict().items()}
    for tensor in reader.tensors:
        own = held.get(tensor.name)
        if own is None:
            if tensor.name == "rope_freqs.weight":
                continue
            raise ValueError(f"mel import: {file} holds {tensor.name}, for which transformers' model has no place")
        theirs = dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        if not _holds(own.float().numpy(), theirs):
            raise ValueError(f"mel import: transformers made something else of {tensor.name} than {file} holds")
    return len(reader.tensors)


def _holds(own: numpy.ndarray, theirs: numpy.ndarray) -> bool:
    if own.shape != theirs.shape:
        return False
    return numpy.array_equal(own, theirs) or sorted(map(bytes, own)) == sorted(map(bytes, theirs))
