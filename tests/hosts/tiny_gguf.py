"""A GGUF file made here: a tiny Llama of random weights with a byte-level tokenizer of its own."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEXTS = ["Tom has 14 apples. He buys 205 more, so 14 + 205 = 219.\n#### 219", "2026 naïve 漢字 🙂"] * 4
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
HEADS, KEY_HEADS = 4, 2


def tiny_tokenizer() -> Tokenizer:
    """Byte-level BPE that never joins two digits, as SmolLM's."""
    tokenizer = Tokenizer(models.BPE())
    split = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(split)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def tiny_llama(vocabulary: int) -> LlamaForCausalLM:
    """Random weights; widths are multiples of 32, which quantization asks for."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        num_key_value_heads=KEY_HEADS,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        rope_theta=10000.0,
        rms_norm_eps=1e-5,
    )
    return LlamaForCausalLM(config).eval()


def write_tiny_gguf(
    path: Path, *, architecture: str = "llama", pre: str = "smollm", template: str | None = TEMPLATE
) -> LlamaForCausalLM:
    """The model whose weights the file holds, as they are after quantization (Q8_0, matrices only)."""
    import json

    tokenizer = tiny_tokenizer()
    table = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(table["vocab"], key=table["vocab"].get)
    model = tiny_llama(len(tokens))
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("tiny")
    writer.add_context_length(2048)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(96)
    writer.add_block_count(2)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(16)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_add_space_prefix(False)
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in SPECIAL else 1 for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in table["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    if template is not None:
        writer.add_chat_template(template)
    _write_tensors(writer, model)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def _write_tensors(writer: gguf.GGUFWriter, model: LlamaForCausalLM) -> None:
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2)
    quantized = gguf.GGMLQuantizationType.Q8_0
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = parameter.numpy()
            if values.ndim == 2:
                blocks = gguf.quants.quantize(values, quantized)
                parameter.copy_(torch.from_numpy(gguf.quants.dequantize(blocks, quantized)))
                values = gguf.quants.quantize(_permuted(name, parameter.numpy()), quantized)
            theirs = names.get_name(name, try_suffixes=(".weight",))
            writer.add_tensor(theirs, values.copy(), raw_dtype=quantized if parameter.ndim == 2 else None)


def _permuted(name: str, values: numpy.ndarray) -> numpy.ndarray:
    """Query and key rows in the order of llama.cpp, which pairs neighbors where transformers pairs halves."""
    heads = HEADS if "q_proj" in name else KEY_HEADS if "k_proj" in name else 0
    if not heads:
        return values
    halves = values.reshape(heads, 2, values.shape[0] // heads // 2, values.shape[1])
    return halves.swapaxes(1, 2).reshape(values.shape)
