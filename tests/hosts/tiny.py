"""A language model of a few ten thousand parameters, its tokenizer, its data and rewards: real objects, tiny."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM, TrainerCallback

from mel import prompts
from mel.hosts.trl import MELConfig, MELTrainer
from mel.methods import Diagnosis, DiagnosticsSettings, Method, Surroundings
from mel.methods.carriers import CARRIERS
from mel.methods.credit.outcome import Outcome as OutcomeCredit
from mel.methods.declaration import AuxiliarySettings
from mel.methods.diagnostics.settings import Measure
from mel.methods.needs import Limits, Needs
from mel.ports import Auxiliary, Credit, Inspectable, Requests, Steps
from mel.prompts.chat import ChatTokenizer
from mel.requests import Generate, Verify
from mel.types import (
    Attempt,
    Candidate,
    Completion,
    Group,
    MetaExperience,
    Outcome,
    Pair,
    Replayed,
    Rollout,
    Row,
    Sampling,
    Verdict,
)

WORDS = [f"w{i}" for i in range(40)]
TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}> {{ m.content }} <end> {% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {w: i for i, w in enumerate(["<pad>", "<end>", "<unk>", "<user>", "<assistant>", *WORDS])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="<end>", unk_token="<unk>", padding_side="left"
    )
    fast.chat_template = TEMPLATE
    return fast


def model(
    seed: int = 0, *, head_dim: int = 16, vocab_size: int = 5 + len(WORDS), eos_token_id: int = 1
) -> Qwen3ForCausalLM:
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=vocab_size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=head_dim,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        eos_token_id=eos_token_id,
        pad_token_id=0,
        bos_token_id=None,
        # Wide initial weights: rollouts of one prompt differ and gradients are far from zero.
        initializer_range=0.2,
    )
    return Qwen3ForCausalLM(config)


def dataset(count: int = 32) -> Dataset:
    return Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": f"w{i % 40} w{(7 * i) % 40} w{(3 * i + 1) % 40}"}],
                "answer": f"w{i % 40}",
            }
            for i in range(count)
        ]
    )


def odd_first_word(completions: Sequence[Any], **kwargs: Any) -> list[float]:
    """1 for a completion whose first word has an odd number: groups of a random model are mixed."""
    return [float(int((c[0]["content"].split() or ["w0"])[0].strip("w<>endusrati") or 0) % 2) for c in completions]


def constant(completions: Sequence[Any], **kwargs: Any) -> list[float]:
    """The same reward for all: the policy's gradient is exactly zero and what remains is the rows'."""
    return [1.0 for _ in completions]


def config(path: Any, **changes: Any) -> MELConfig:
    settings = {
        "output_dir": str(path),
        "per_device_train_batch_size": 8,
        "num_generations": 4,
        "gradient_accumulation_steps": 1,
        "max_completion_length": 6,
        "max_steps": 3,
        "learning_rate": 1e-2,
        "lr_scheduler_type": "constant",
        "loss_type": "grpo",
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "report_to": [],
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
        "seed": 3,
        "mel_prompts": "story_counts",
    }
    return MELConfig(**(settings | changes))


def by_place(completions: Sequence[Any], **kwargs: Any) -> list[float]:
    """Rewards that differ within a group: fixed completions of one prompt have lengths and words of their own."""
    return [float(len(c[0]["content"].split()) % 3 == 0) + 0.25 * (i % 4) for i, c in enumerate(completions)]


def still(path: Any, **changes: Any) -> MELConfig:
    """A run that applies gradients unclipped and learns nothing, on completions that are fixed."""
    return config(path, **{"learning_rate": 0.0, "max_grad_norm": 0.0, "max_steps": 1, **changes})


def distance(gradient: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    """Norm of the difference over the norm of what is expected."""
    left, right = flat(gradient), flat(expected)
    assert right.norm() > 0
    return ((left - right).norm() / right.norm()).item()


def trainer(cls: type, args: Any, *, reward_funcs: Any = odd_first_word, **keywords: Any) -> Any:
    return cls(
        model=keywords.pop("model", None) or model(),
        reward_funcs=reward_funcs,
        args=args,
        train_dataset=keywords.pop("train_dataset", None) or dataset(),
        processing_class=tokenizer(),
        **keywords,
    )


def mel_trainer(
    args: Any, *auxiliaries: Auxiliary, carrier: str = "grpo", credit: Credit | None = None, **keywords: Any
):
    """A MELTrainer with these auxiliaries and a verdict per rollout from `odd_first_word`."""
    method = Method(
        carrier=CARRIERS[carrier]().build(None),
        credit=credit or OutcomeCredit(),
        auxiliaries=tuple(auxiliaries),
        settings=tuple(s for a in auxiliaries if isinstance(s := getattr(a, "settings", None), AuxiliarySettings)),
    )
    return trainer(keywords.pop("cls", MELTrainer), args, method=method, **keywords)


class RowsFrom:
    """An auxiliary that generates twice like MEL does and then yields the rows a function makes of its call number.

    Args:
        rows: call number (0-based) -> rows.
        prompts: call number -> how many prompts to generate for.
    """

    name = "rows_from"

    def __init__(self, rows: Any, prompts: Any = lambda call: 0) -> None:
        self._rows = rows
        self._prompts = prompts
        self.calls = 0
        self.answers: list[list[Any]] = []
        self.groups: list[list[Group]] = []

    def learn(self, groups: Sequence[Group], *, step: int) -> Requests[Outcome]:
        call, self.calls = self.calls, self.calls + 1
        self.groups.append(list(groups))
        asked = tuple(groups[i % len(groups)].prompt_ids for i in range(self._prompts(call)))
        written = yield Generate(prompts=asked, sampling=Sampling(max_tokens=4, temperature=0.0), phase="construct")
        replayed = yield Generate(prompts=asked, sampling=Sampling(max_tokens=5), phase="replay")
        problems = tuple(groups[i % len(groups)].problem for i in range(len(asked)))
        verdicts = yield Verify(problems=problems, responses=tuple(c.text for c in replayed))
        assert all(isinstance(v, Verdict) for v in verdicts)
        self.answers.append([list(written), list(replayed), list(verdicts)])
        rows = tuple(self._rows(call))
        return Outcome(rows=rows, counts={"rows": len(rows), "asked": len(asked)})


class EverySecond(AuxiliarySettings):
    """Declares of `RowsFrom` that it learns from every two batches at once."""

    name: ClassVar[str] = "rows_from"
    gathers: ClassVar[int] = 2  # type: ignore[misc,assignment]

    def needs(self, limits: Limits) -> Needs:
        return Needs()


def measured_method(
    auxiliary: Auxiliary,
    measures: Sequence[Measure],
    *,
    every: int,
    steps: Steps,
    rollout_max_tokens: int,
    inspector: Inspectable,
) -> Method:
    """GRPO with this auxiliary, which measures so much of itself every so many steps, with one sample each."""
    at = Surroundings(
        tokenizer=ChatTokenizer(tokenizer()),
        prompts=prompts.load("story_counts"),
        steps=steps,
        rollout_max_tokens=rollout_max_tokens,
        inspector=inspector,
    )
    settings = DiagnosticsSettings(measures=list(measures), every=every, samples=1)
    return Method(
        carrier=CARRIERS["grpo"]().build(None),
        credit=OutcomeCredit(),
        auxiliaries=(auxiliary,),
        diagnosis=Diagnosis(settings, at, has_auxiliaries=True) if measures else None,
    )


class ChangesSettings(AuxiliarySettings):
    """Declares that its auxiliary changes groups."""

    name = "changes"
    changes_groups = True

    def needs(self, limits: Limits) -> Needs:
        return Needs()


class Changes:
    """An auxiliary that hands back the groups that a function makes of those that came in."""

    name = "changes"
    settings = ChangesSettings()

    def __init__(self, change: Callable[[Sequence[Group]], Sequence[Group]]) -> None:
        self._change = change
        self.given: list[tuple[Group, ...]] = []
        self.handed_back: list[tuple[Group, ...]] = []

    def learn(self, groups: Sequence[Group], *, step: int) -> Requests[Outcome]:
        yield from ()
        self.given.append(tuple(groups))
        self.handed_back.append(tuple(self._change(groups)))
        return Outcome(groups=self.handed_back[-1])


def replayed(
    group: Group, *, is_kept: bool, reason: str, attempts: Sequence[tuple[str, bool]] = (), parsed: bool = True
) -> Replayed:
    """A candidate of that group as a method hands it back, with what its replays wrote and whether they were right."""
    wrong = Verdict(is_correct=False, reason="wrong")
    rollout = Rollout(token_ids=(5,), text="w0", verdict=wrong, reward=0.0)
    pair = Pair(group=group, right=rollout, wrong=rollout, wrong_index=0, right_steps=(), wrong_steps=())
    experience = MetaExperience(
        bifurcation=2, critique="step 2 <b>adds</b> | it should *not*", heuristic="look_twice", text="M"
    )
    candidate = Candidate(
        pair=pair,
        context_ids=(5,),
        completion=Completion(token_ids=(6,), text="M"),
        experience=experience if parsed else None,
        failure="" if parsed else reason,
    )
    made = [
        Attempt(
            completion=Completion(token_ids=(7,), text=text),
            response=text,
            verdict=Verdict(is_correct=is_right, reason="right" if is_right else "wrong"),
        )
        for text, is_right in attempts
    ]
    return Replayed(candidate=candidate, prefix_ids=(), attempts=tuple(made), is_kept=is_kept, reason=reason)


class Experiences:
    """An auxiliary that has three experiences of every group: a kept one, one that failed, one without s*; no rows."""

    name = "experiences"

    def learn(self, groups: Sequence[Group], *, step: int) -> Requests[Outcome]:
        yield Generate(prompts=(), sampling=Sampling(max_tokens=4), phase="construct")
        made = [
            experience
            for group in groups
            for experience in (
                replayed(group, is_kept=True, reason="kept", attempts=[("right | after\nall", True)]),
                replayed(group, is_kept=False, reason="failed_replay", attempts=[("wrong again", False)]),
                replayed(group, is_kept=False, reason="no_bifurcation", parsed=False),
            )
        ]
        return Outcome(replayed=tuple(made), counts={"rows": 0, "kept": len(groups)})


def some_rows(call: int) -> list[Row]:
    """Three rows of different lengths; call numbers shift the tokens."""
    return [
        Row(
            context_ids=tuple(5 + (call + i + k) % 40 for k in range(3 + i)),
            target_ids=tuple(5 + (call + 2 * i + k) % 40 for k in range(2 + i)),
        )
        for i in range(3)
    ]


def parameters(of: Any) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in of.model.named_parameters()}


class StepGradients(TrainerCallback):
    """The gradient that each optimizer step applies, in order."""

    def __init__(self) -> None:
        self.steps: list[dict[str, torch.Tensor]] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        named = model.module.named_parameters() if hasattr(model, "module") else model.named_parameters()
        self.steps.append({n: p.grad.detach().clone() for n, p in named if p.grad is not None})


def gradients_of(args: Any, *auxiliaries: Auxiliary, **keywords: Any) -> list[dict[str, torch.Tensor]]:
    """The gradient of every optimizer step of a run."""
    recorder = StepGradients()
    mel_trainer(args, *auxiliaries, callbacks=[recorder], **keywords).train()
    return recorder.steps


def flat(gradient: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([gradient[name].reshape(-1).double() for name in sorted(gradient)])
