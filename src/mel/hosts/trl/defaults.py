"""The method of a trainer that was given none: plain GRPO with MEL as the configuration's `mel_*` fields say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from torch import nn
from trl.trainer.grpo_config import GRPOConfig

from mel import prompts
from mel.hosts.trl.config import (
    check_groups,
    check_layout,
    check_other_groups,
    diagnostics_of,
    experience_settings,
    row_learning,
    setting,
)
from mel.hosts.trl.policy_rows import check_policy_rows
from mel.hosts.trl.problems import lines_as_steps
from mel.hosts.trl.surrogates import check_surrogate
from mel.methods import (
    AuxiliarySettings,
    CarrierSettings,
    Method,
    Surroundings,
    build,
    carrier_settings,
    credit_settings,
)
from mel.ports import Inspectable, Steps, Task, Tokenizer
from mel.prompts import PromptSet
from mel.prompts.chat import ChatTokenizer, template_text
from mel.step import RowLearning

PLAIN = "pass `method=plain_method()` (of mel.hosts.trl) for a method without auxiliaries"


class PlainText:
    """The part of the tokenizer port that a method without auxiliaries needs, over any tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def decode(self, token_ids: Sequence[int]) -> str:
        return self._tokenizer.decode(list(token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)


def chat_tokenizer(args: GRPOConfig, tokenizer: Any) -> ChatTokenizer:
    """The tokenizer with the template and the options that the rollouts' prompts are rendered with.

    Raises:
        ValueError: no template, or one that is neither a name, nor a file, nor Jinja text.
    """
    wanted = setting(args, "chat_template")
    if wanted is None and not getattr(tokenizer, "chat_template", None):
        raise ValueError(
            "the tokenizer has no chat template, which auxiliaries need: pass `mel_chat_template=` (`plain` for base "
            "models, `chatml`, a Jinja file or Jinja text), or `method=plain_method()` (of mel.hosts.trl) for a "
            "method without auxiliaries"
        )
    if wanted is not None and "{" not in wanted:
        try:
            wanted = template_text(wanted)
        except ValueError as error:
            raise ValueError(str(error).replace("model.chat_template", "mel_chat_template")) from None
    options: Any = args.chat_template_kwargs
    return ChatTokenizer(tokenizer, wanted, template_options=options)


def refuse_early(given: Mapping[str, Any], *, has_verifier: bool) -> None:
    """What auxiliaries rule out and the arguments alone show, said before a model is loaded.

    Raises:
        ValueError: tools, environments, a reward model that should judge, or a tokenizer without a template.
    """
    args = given.get("args")
    if given.get("tools") or given.get("environment_factory") is not None:
        raise ValueError(f"auxiliaries learn from rollouts of one turn; got tools or environments: {PLAIN}")
    rewards = given.get("reward_funcs")
    rewards = rewards if isinstance(rewards, list) else [rewards]
    which = None if args is None else setting(args, "correctness")
    if not has_verifier and which is None and isinstance(rewards[0], str | nn.Module):
        raise ValueError(
            f"a reward model cannot say right or wrong: pass `verifier=`, name a reward function by mel_correctness, "
            f"or {PLAIN}"
        )
    tokenizer = given.get("processing_class")
    if args is not None:
        check_layout(args)
        if getattr(tokenizer, "is_fast", False):
            chat_tokenizer(args, tokenizer)


def default_prompts(args: GRPOConfig, task: Task | None) -> PromptSet:
    """The task's prompt set where there is a task, or else the one that `mel_prompts` names.

    Raises:
        ValueError: no such set, or one that lacks a file that meta-experiences or the credit rule read.
    """
    credit = credit_settings(setting(args, "credit"), setting(args, "credit_settings"))
    files = (*experience_settings(args).prompts, *credit.prompts)
    return prompts.load(task.prompt_set if task is not None else setting(args, "prompts"), files)


def default_method(args: GRPOConfig, tokenizer: Tokenizer, *, task: Task | None, segmenter: Steps | None) -> Method:
    """GRPO with meta-experience learning; prompts and steps are the task's where there is one.

    Args:
        segmenter: numbered steps of a solution; None for the task's, or else for one step per line.
    """
    surroundings = Surroundings(
        tokenizer=tokenizer,
        prompts=default_prompts(args, task),
        steps=segmenter or (task.steps if task is not None else lines_as_steps),
        rollout_max_tokens=args.max_completion_length or setting(args, "construct_max_tokens"),
        rollout_temperature=args.temperature,
        rollout_top_p=args.top_p,
        seed=args.seed,
        inspector=task if isinstance(task, Inspectable) else None,
    )
    return build(
        at=surroundings,
        carrier=carrier_settings(setting(args, "carrier"), setting(args, "carrier_settings")),
        credit=credit_settings(setting(args, "credit"), setting(args, "credit_settings")),
        auxiliaries=[experience_settings(args)],
        diagnostics=diagnostics_of(args),
    )


def learning_of(args: GRPOConfig, method: Method, given: Mapping[str, RowLearning]) -> dict[str, RowLearning]:
    """How the rows of each auxiliary are learned, by its name: as given, or else as the configuration says.

    Raises:
        ValueError: a name that no auxiliary has, or one weight for two auxiliaries, whose running mean it would mix.
    """
    names = [auxiliary.name for auxiliary in method.auxiliaries]
    strange = [name for name in given if name not in names]
    if strange:
        raise ValueError(f"learning: expected names of auxiliaries ({', '.join(names) or 'none'}), got {strange[0]!r}")
    learned = {name: given.get(name) or row_learning(args) for name in names}
    for one, other in combinations(names, 2):
        if learned[one].weight is learned[other].weight:
            raise ValueError(
                f"learning: {one} and {other} share one weight, which holds a running mean; give each its own"
            )
    return learned


def plain_method(carrier: str | CarrierSettings = "grpo") -> Method:
    """A method without auxiliaries: the carrier alone, which takes all that GRPOTrainer takes."""
    settings = carrier_settings(carrier)
    return Method(
        carrier=settings.build(None), credit=credit_settings("outcome").build(None), carrier_settings=settings
    )


def check_method(
    args: GRPOConfig,
    *,
    carrier: str,
    surrogate: str,
    credit: str,
    settings: Sequence[AuxiliarySettings],
    has_auxiliaries: bool,
    samples_initial: bool = False,
) -> None:
    """Refuses surrogates, batches and changed groups that the method cannot be learned with.

    Known without the method itself, so that a recipe is refused before a weight is read. TRL's own method, without
    auxiliaries, works with all batches.

    Args:
        carrier, credit: their names.
        surrogate: the carrier's.
        settings: of the auxiliaries, as far as these declare anything.
        has_auxiliaries: or a diagnosis, which reads whole groups as they do.
        samples_initial: rollouts come from the policy before training.

    Raises:
        ValueError: what does not go together and what to change.
    """
    check_surrogate(args, surrogate)
    if samples_initial and args.use_vllm:
        raise ValueError(
            f"carrier {carrier!r} takes its rollouts from the policy before training, but vLLM holds the current "
            "weights: set use_vllm to false, or let rollouts come from the current policy"
        )
    if has_auxiliaries:
        check_layout(args)
    elif (carrier, credit) != ("grpo", "outcome"):
        check_groups(args)
    for declared in settings:
        if declared.changes_groups:
            check_policy_rows(args, f"auxiliary {declared.name!r}", carrier=carrier)
        if declared.compares_groups:
            check_other_groups(args, f"auxiliary {declared.name!r}")


def refuse_auxiliaries(method: Method, what: str) -> None:
    """Refuses a method that would read rollouts which are not text of one turn.

    Raises:
        ValueError: the method has auxiliaries, or a credit rule that reads solutions.
    """
    if method.reads_text:
        names = [a.name for a in method.auxiliaries] or [f"credit {method.credit.name}"]
        raise ValueError(
            f"meta-experiences are made of text rollouts of one turn; {what} are not supported with auxiliaries "
            f"({', '.join(names)}): train without them, or pass "
            "`method=plain_method()` (of mel.hosts.trl) for a method without auxiliaries"
        )
