"""Models and tokenizers from a directory or the hub, as every host and the evaluation load them."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftConfig, PeftModel
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils import logging

from mel.model_path import check_merge, check_model, is_adapter
from mel.prompts.chat import template_text
from mel.types import Completion


def load_tokenizer(path: str, *, chat_template: str | None = None) -> Any:
    """The model's own fast tokenizer, padding on the left, with the chat template that is to be used.

    Args:
        chat_template: `plain`, `chatml`, the path of a Jinja file, or None for the tokenizer's own.

    Raises:
        ValueError: no such model, no such template, or no template at all.
    """
    check_model(path)
    with _named(path):
        tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left")
    if chat_template is not None:
        tokenizer.chat_template = template_text(chat_template)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(path: str, *, dtype: str | None = "float32", attention: str | None = None) -> Any:
    """The causal language model at that path, on the CPU; the host moves it. An adapter comes merged into its base.

    Args:
        dtype: of the weights; None for the checkpoint's own.

    Raises:
        ValueError: no such model.
    """
    check_model(path)
    options: dict[str, Any] = {} if attention is None else {"attn_implementation": attention}
    options["dtype"] = "auto" if dtype is None else getattr(torch, dtype)
    base = _base_of(path)
    with _named(base):
        model = AutoModelForCausalLM.from_pretrained(base, **options)
    if not is_adapter(path):
        return model
    adapted: Any = PeftModel.from_pretrained(model, path)
    return adapted.merge_and_unload()


def device() -> str:
    """The device for a model that no trainer places: the first GPU if torch sees one, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def merge_adapter(path: str, output: str | Path) -> Path:
    """An ordinary model directory at `output`: the base model with the adapter of that directory in its weights.

    Raises:
        ValueError: no adapter there, or something at `output` already.
    """
    output = Path(output)
    check_merge(path, output)
    model = load_model(path, dtype=None)
    model.save_pretrained(output)
    AutoTokenizer.from_pretrained(path).save_pretrained(output)
    return output


def load_generation_settings(path: str) -> GenerationConfig:
    """The generation settings that a model loaded from that path has, without loading it.

    Raises:
        ValueError: no such model.
    """
    check_model(path)
    base = _base_of(path)
    try:
        return GenerationConfig.from_pretrained(base)
    except OSError:  # no generation_config.json: transformers then takes them from config.json
        return GenerationConfig.from_model_config(AutoConfig.from_pretrained(base))


def context_length(path: str) -> int | None:
    """Most tokens, prompt and completion together, that the model at that path supports; None if it does not say.

    Raises:
        ValueError: no such model.
    """
    base = _base_of(path)
    with _named(base):
        return positions_of(AutoConfig.from_pretrained(base))


def positions_of(config: Any) -> int | None:
    """Most tokens, prompt and completion together, of a model with that configuration; None if it does not say."""
    return getattr(config.get_text_config(), "max_position_embeddings", None)


def stop_tokens(settings: Any, tokenizer: Any) -> tuple[int, ...]:
    """Ids that end a completion: the model's generation settings name them, else the tokenizer does.

    Raises:
        ValueError: neither does.
    """
    own = getattr(settings, "eos_token_id", None)
    stops = own if own is not None else tokenizer.eos_token_id
    if stops is None:
        raise ValueError("the model has no end-of-sequence token: set eos_token_id in its generation_config.json")
    return tuple(stops) if isinstance(stops, list | tuple) else (stops,)


def as_completion(token_ids: Sequence[int], tokenizer: Any, stops: Sequence[int]) -> Completion:
    """Sampled ids, up to and including the stop token if one came, as a completion with its text."""
    ids = tuple(token_ids)
    text = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return Completion(token_ids=ids, text=text, is_truncated=not ids or ids[-1] not in stops)


def lora_config(fields: Mapping[str, Any]) -> Any:
    """The `peft.LoraConfig` of those fields, for a causal language model.

    Raises:
        ValueError: an unknown field.
    """
    valid = set(inspect.signature(LoraConfig).parameters)
    unknown = sorted(set(fields) - valid)
    if unknown:
        raise ValueError(f"model.lora: {', '.join(unknown)} is no field of peft.LoraConfig")
    return LoraConfig(**{"task_type": "CAUSAL_LM", **fields})


def quiet_libraries() -> None:
    """No bars and no notices of coming deprecations from the libraries underneath; their warnings stay.

    A run shows its own progress, and what transformers will rename next year is for us to mend, not for the user.
    """
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl|accelerate)(\..*)?")


def gpu_memory() -> int | None:
    """Bytes of the first GPU that torch sees; None without one."""
    return torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else None


def device_summary() -> str:
    """One line on the accelerators torch sees."""
    if not torch.cuda.is_available():
        return "GPU: none that torch can use; the miniature trains on the CPU"
    found = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return "GPU: " + ", ".join(f"{p.name} {p.total_memory / 2**30:.0f} GiB" for p in found)


@contextmanager
def _named(path: str) -> Iterator[None]:
    """What transformers raises of a model that it cannot load often does not say which: then this does."""
    try:
        yield
    except OSError as error:
        raise ValueError(
            f"model.path: could not load {path!r} as a hub id or as a directory: {str(error).splitlines()[0]} Give a "
            f"directory of this machine with config.json, weights and tokenizer files, or a hub id that it can reach"
        ) from error


def _base_of(path: str) -> str:
    """The model that an adapter was trained on; any other path is its own."""
    return str(PeftConfig.from_pretrained(path).base_model_name_or_path) if is_adapter(path) else path
