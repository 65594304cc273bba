"""The members of TRL that this host overrides or calls, and a check that the installed TRL still has them."""

from __future__ import annotations

import inspect
from typing import Any

import trl

SUPPORTED = ">=1.15,<1.17"

MEMBERS: dict[str, tuple[str, ...]] = {
    "_calculate_rewards": ("self", "inputs", "prompts", "completions", "completion_ids_list"),
    "_generate_and_score_completions": ("self", "inputs"),
    "_prepare_inputs": ("self", "generation_batch"),
    "_compute_loss": ("self", "model", "inputs"),
    "training_step": ("self", "model", "inputs", "num_items_in_batch"),
    "_get_per_token_logps_and_entropies": ("self", "model", "input_ids", "attention_mask", "logits_to_keep"),
    "_generate": ("self", "prompts"),
    "_generate_single_turn": ("self", "prompt_ids", "images", "multimodal_fields", "num_generations"),
    "_save_checkpoint": ("self", "model", "trial"),
    "_save_rng_state": ("self", "output_dir"),
    "_load_from_checkpoint": ("self", "resume_from_checkpoint", "model"),
    "_load_optimizer_and_scheduler": ("self", "checkpoint"),
    "_get_train_sampler": ("self", "dataset"),
    "_run_epoch": (
        "self", "model", "epoch", "train_dataloader", "steps_in_epoch", "num_update_steps_per_epoch", "trial",
        "ignore_keys_for_eval", "start_time", "resume_from_checkpoint", "epochs_trained",
        "steps_trained_in_current_epoch",
    ),
}  # fmt: skip
"""Member -> its leading parameters; further ones must have defaults."""


class ContractError(RuntimeError):
    """The installed TRL changed something this host is built on."""


def violations(trainer: type) -> list[str]:
    """One sentence per member that is not as expected; empty if all are."""
    found = [text for name, expected in MEMBERS.items() if (text := _violation(trainer, name, expected))]
    if getattr(trainer, "loss_is_scaled_for_ga", None) is not True:
        value = getattr(trainer, "loss_is_scaled_for_ga", "no such attribute")
        found.append(f"loss_is_scaled_for_ga: expected True (the loss divides by accumulation steps), found {value}")
    return found


def require(trainer: type) -> None:
    """Refuses a TRL whose members differ.

    Raises:
        ContractError: naming each member, the expected and the found signature, and the supported versions.
    """
    found = violations(trainer)
    if found:
        listed = "\n  ".join(found)
        raise ContractError(
            f"trl {trl.__version__} does not fit this host, which supports trl {SUPPORTED}:\n  {listed}\n"
            f"Install a supported version: pip install 'trl{SUPPORTED}'"
        )


def _violation(trainer: type, name: str, expected: tuple[str, ...]) -> str:
    member: Any = getattr(trainer, name, None)
    if member is None:
        return f"{name}: expected ({', '.join(expected)}), found no such member"
    parameters = list(inspect.signature(member).parameters.values())
    names = tuple(p.name for p in parameters)
    rest = parameters[len(expected) :]
    required = [p.name for p in rest if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    if names[: len(expected)] != expected or required:
        return f"{name}: expected ({', '.join(expected)}[, optional ones]), found ({', '.join(names)})"
    return ""
