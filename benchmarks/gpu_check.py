"""Peak memory, tokens and seconds of real training steps against the plan: GRPO, MEL, joint, separate, adapters.

    python -m benchmarks.gpu_check --size 0.6B --device cuda      (one GPU; about ten minutes)
    python -m benchmarks.gpu_check --size small --device cpu      (one core; about three minutes)

The weights are random and the tokenizer is trained here, so this measures memory and cost and that nothing becomes
infinite, not learning. Rollouts count as right by their length, so that groups are mixed; what a random model writes
parses as no experience, so a hand-made auxiliary takes the place of MEL's parser: it asks for the same two generations
and hands over rows of the same kind and length. Completions are forced to their full length, as the plan assumes.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM, TrainerCallback

from benchmarks.live_bytes import peak_memory
from mel import plan
from mel.config import Recipe, parse_recipe
from mel.hosts.trl import MELConfig, MELTrainer
from mel.methods import Method
from mel.methods.carriers import CARRIERS
from mel.methods.credit.outcome import Outcome as OutcomeCredit
from mel.ports import Requests
from mel.requests import Generate, Verify
from mel.types import Completion, Group, Outcome, Row, Sampling

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PROMPTS = [[{"role": "user", "content": f"{'Step 7: 7 + 49 = 56. ' * 4} {i}"}] for i in range(64)]


@dataclass(frozen=True, kw_only=True)
class Size:
    """A shape and the lengths it is tried with."""

    config: dict[str, int]
    completion: int
    construct: int
    micro: int
    accumulation: int


SIZES = {
    "0.6B": Size(
        config={
            "vocab_size": 151936,
            "hidden_size": 1024,
            "intermediate_size": 3072,
            "num_hidden_layers": 28,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 128,
        },
        completion=512,
        construct=128,
        micro=8,
        accumulation=4,
    ),
    "small": Size(
        config={
            "vocab_size": 4096,
            "hidden_size": 256,
            "intermediate_size": 1024,
            "num_hidden_layers": 6,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 32,
        },
        completion=64,
        construct=32,
        micro=8,
        accumulation=2,
    ),
}
EXPERIENCE = {"pairs_per_group": 1, "replay_from": "start", "target": "experience", "context": "retrospective"}
STEP = {"pairs_per_group": 2, "replay_from": "bifurcation", "target": "step", "context": "prefix"}
CONSTANT = {"kind": "constant", "lambda": 1.0, "every": 0}
MEASURED = {"kind": "grad_norm", "share": 3.0, "every": 1}
ARMS: dict[str, dict[str, Any]] = {
    "grpo": {},
    "paper, separate": {"settings": EXPERIENCE, "weight": CONSTANT, "backward": "separate", "rows_per_backward": 1},
    "paper, joint": {"settings": EXPERIENCE, "weight": CONSTANT, "backward": "joint"},
    "recommended": {"settings": STEP, "weight": MEASURED, "rows_per_backward": 2},
    "recommended, LoRA": {"settings": STEP, "weight": MEASURED, "rows_per_backward": 2, "lora": True},
}


class Rows:
    """Two generations like MEL's, then the rows MEL would hand over, taken from any right and wrong rollout."""

    name = "rows"

    def __init__(self, settings: dict[str, Any], size: Size) -> None:
        self._settings = settings
        self._size = size

    def learn(self, groups: Sequence[Group], *, step: int) -> Requests[Outcome]:
        pairs = [
            (g, right, wrong)
            for g in groups
            if g.is_mixed
            for right in [r for r in g.rollouts if r.verdict.is_correct][:1]
            for wrong in [r for r in g.rollouts if not r.verdict.is_correct][: self._settings["pairs_per_group"]]
        ]
        contexts = [g.prompt_ids + right.token_ids + wrong.token_ids for g, right, wrong in pairs]
        written = yield Generate(
            prompts=tuple(contexts), sampling=Sampling(max_tokens=self._size.construct), phase="construct"
        )
        texts = [c.token_ids for c in written if isinstance(c, Completion)]
        is_prefix = self._settings["context"] == "prefix"
        prefixes = [wrong.token_ids[: len(wrong.token_ids) // 2] if is_prefix else () for _, _, wrong in pairs]
        prompts = tuple(g.prompt_ids + m + p for (g, _, _), m, p in zip(pairs, texts, prefixes, strict=True))
        replayed = yield Generate(prompts=prompts, sampling=Sampling(max_tokens=self._size.completion), phase="replay")
        answers = [c for c in replayed if isinstance(c, Completion)]
        yield Verify(problems=tuple(g.problem for g, _, _ in pairs), responses=tuple(c.text for c in answers))
        rows = []
        for (g, _, _), context, m, prefix, c in zip(pairs, contexts, texts, prefixes, answers, strict=True):
            if is_prefix:
                rows.append(Row(context_ids=g.prompt_ids + prefix, target_ids=c.token_ids))
            else:
                rows.append(Row(context_ids=context, target_ids=m))
        return Outcome(rows=tuple(rows), counts={"pairs": len(pairs)})


def even_length(completions: Sequence[Any], **_: Any) -> list[float]:
    """Right by parity of the number of characters: about half, whatever a random model writes."""
    return [float(len(c[0]["content"]) % 2) for c in completions]


def build_tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer, trained on counting sentences, with a ChatML template."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    texts = [f"Step {i}: {i} + {7 * i} = {8 * i}, so the answer to problem {i % 17} is {i * i}." for i in range(4000)]
    core.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=min(vocabulary, 2000),
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token=special[0], eos_token=special[2], padding_side="left"
    )
    fast.chat_template = TEMPLATE
    return fast


def longest_prompt(size: Size) -> int:
    """Tokens of the longest prompt."""
    tokenizer = build_tokenizer(size.config["vocab_size"])
    texts = tokenizer.apply_chat_template(PROMPTS, add_generation_prompt=True, tokenize=False)
    return max(len(tokenizer(text)["input_ids"]) for text in texts)


def recipe_of(arm: str, size: Size, device: str) -> Recipe:
    """The recipe whose plan this arm is held against."""
    given = {k: v for k, v in ARMS[arm].items() if k != "lora"}
    lora = {"r": 16, "lora_alpha": 16, "target_modules": "all-linear"} if ARMS[arm].get("lora") else None
    if given:
        settings = {**given["settings"], "construct_max_tokens": size.construct}
        given = {**given, "settings": {**settings, "max_pair_tokens": longest_prompt(size) + 2 * size.completion}}
    return parse_recipe(
        {
            "name": arm,
            "model": {"path": "random", "dtype": "bfloat16" if lora and device == "cuda" else "float32", "lora": lora},
            "task": {"name": "story_counts"},
            "auxiliaries": [{"name": "meta_experience", **given}] if given else [],
            "trainer": {
                "per_device_train_batch_size": size.micro,
                "gradient_accumulation_steps": size.accumulation,
                "num_generations": 8,
                "max_completion_length": size.completion,
                "gradient_checkpointing": True,
                "use_cpu": device == "cpu",
                "bf16": device == "cuda",
                "learning_rate": 1e-6,
                "optim": "adamw_torch",
            },
        }
    )


def build_trainer(recipe: Recipe, size: Size, steps: int, output: str, *, probe: TrainerCallback) -> MELTrainer:
    """A MELTrainer over random weights, whose completions all have their full length."""
    from peft import LoraConfig

    tokenizer = build_tokenizer(size.config["vocab_size"])
    torch.manual_seed(0)
    config = Qwen3Config(
        **size.config,
        max_position_embeddings=32768,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    model = Qwen3ForCausalLM(config).to(getattr(torch, recipe.model.dtype))
    weight = recipe.auxiliaries[0].weight if recipe.auxiliaries else None
    rows = {
        "mel_weight": weight.kind if weight else "constant",
        "mel_measure_every": weight.every if weight else 0,
        "mel_backward": recipe.auxiliaries[0].backward if recipe.auxiliaries else "separate",
        "mel_rows_per_backward": recipe.auxiliaries[0].rows_per_backward if recipe.auxiliaries else 16,
    }
    arguments = MELConfig(
        output_dir=output,
        **recipe.trainer,
        max_steps=steps,
        loss_type="grpo",
        lr_scheduler_type="constant",
        generation_kwargs={"min_new_tokens": size.completion},
        report_to=[],
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
        seed=0,
        **rows,
    )
    auxiliaries = (Rows(recipe.auxiliaries[0].settings, size),) if recipe.auxiliaries else ()
    return MELTrainer(
        model=model,
        reward_funcs=[even_length],
        args=arguments,
        train_dataset=Dataset.from_list([{"prompt": prompt, "answer": "0"} for prompt in PROMPTS]),
        processing_class=tokenizer,
        peft_config=LoraConfig(**recipe.model.lora, task_type="CAUSAL_LM") if recipe.model.lora else None,
        method=Method(carrier=CARRIERS["grpo"]().build(None), credit=OutcomeCredit(), auxiliaries=auxiliaries),
        callbacks=[probe],
    )


class Probe(TrainerCallback):
    """Seconds per step, and whether gradients stayed finite."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.is_finite = True
        self._begin = 0.0

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        self._begin = time.perf_counter()

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self.is_finite &= all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.seconds.append(time.perf_counter() - self._begin)


def small_tiles() -> None:
    """Makes the tiles of TRL's head small, in TRL and in the plan.

    Off the GPU the head has no kernel of its own and copies a tile several times, which would hide everything else.
    """
    import trl.trainer.utils

    from mel.plan import activations

    trl.trainer.utils._CHUNKED_LOGPROB_CHUNK_SIZE = 256
    activations.HEAD_VOCABULARY = 256


def measure(arm: str, size: Size, device: str, steps: int) -> dict[str, Any]:
    """One arm: the measured peak of training beside the plan's, tokens by phase, seconds per step."""
    recipe = recipe_of(arm, size, device)
    probe = Probe()
    with tempfile.TemporaryDirectory() as output:
        trainer = build_trainer(recipe, size, steps, output, probe=probe)
        with peak_memory(device, trainer.model) as peak:
            trainer.train()
    logs = [line for line in trainer.state.log_history if "reward/mean" in line]
    shape = plan.shape_from_config({"model_type": "qwen3", **trainer.model.config.to_dict()})
    planned = plan.estimate(
        recipe,
        shape,
        gpus=1,
        gpu_memory_gib=1000,
        prompt_tokens=longest_prompt(size),
        instruction_tokens=0,
    )
    parts = {
        moment: sum(size for name, size in of.items() if name != "reserve") for moment, of in planned.moments.items()
    }
    sampled = {
        phase: sum(line.get(f"tokens/{phase}", 0.0) for line in logs) / len(logs)
        for phase in ("rollout", "construct", "replay", "rows", "rows_context")
    }
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    return {
        "arm": arm,
        "peak_mib": peak[0] / 2**20,
        "planned_mib": max(parts.values()) / 2**20,
        "planned_training_mib": parts["training"] / 2**20,
        "planned_generating_mib": parts["generating"] / 2**20,
        "seconds_per_step": sum(probe.seconds[1:]) / max(len(probe.seconds) - 1, 1),
        "tokens": sampled,
        "groups_mixed": sum(line["reward/groups_mixed"] for line in logs) / len(logs),
        "is_finite": probe.is_finite and all(math.isfinite(loss) for loss in losses),
    }


def _line(f: dict[str, Any]) -> str:
    sampled = sum(f["tokens"][phase] for phase in ("rollout", "construct", "replay")) / f["tokens"]["rollout"]
    return (
        f"{f['arm']:20} {f['peak_mib']:9.0f} {f['planned_mib']:9.0f} {f['planned_mib'] / f['peak_mib']:6.2f} "
        f"{f['seconds_per_step']:7.2f} {sampled:9.2f} {f['groups_mixed']:6.2f}  {f['is_finite']}"
    )


def main() -> None:
    """Measure the arms asked for, print a table, write JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--arms", default=";".join(ARMS), help="semicolon-separated: " + "; ".join(ARMS))
    parser.add_argument("--output", type=Path, default=Path("runs/bench"))
    options = parser.parse_args()
    if options.device == "cpu":
        small_tiles()
    print(f"{'arm':20} {'peak MiB':>9} {'planned':>9} {'ratio':>6} {'s/step':>7} {'sampled x':>9} {'mixed':>6}  finite")
    found = []
    for arm in options.arms.split(";"):
        found.append(measure(arm.strip(), SIZES[options.size], options.device, options.steps))
        print(_line(found[-1]), flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / f"gpu_check-{options.size}-{options.device}.json"
    path.write_text(json.dumps(found, indent=2) + "\n")
    print(f"written: {path}")


if __name__ == "__main__":
    main()
