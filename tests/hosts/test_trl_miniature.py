"""The whole method on the shipped policy, by changing one name."""

import pytest
import tiny
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer

from mel import prompts, tasks
from mel.hosts.trl import MELTrainer, VerifierReward, example_of
from mel.miniature import policies
from mel.prompts.ask import PlainAsk


def test_experiences_are_made_replayed_and_learned(tmp_path):
    policy = policies.path(world=0)
    task = tasks.load("story_counts", world=0, length=5)
    prompt_set = prompts.load(task.prompt_set)
    rows = [example_of(p, PlainAsk(prompts=prompt_set)(p)) for p in task.problems("train", 16)]
    args = tiny.config(
        tmp_path,
        max_steps=2,
        per_device_train_batch_size=64,
        num_generations=8,
        max_completion_length=44,
        learning_rate=2e-4,
        mel_construct_max_tokens=64,
    )
    trainer = MELTrainer(
        model=AutoModelForCausalLM.from_pretrained(policy),
        reward_funcs=VerifierReward(task),
        args=args,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(policy),
        task=task,
    )
    trainer.train()
    lines = [line for line in trainer.state.log_history if "experience/candidates" in line]
    assert len(lines) == 2
    for line in lines:
        assert 0 < line["experience/kept"] <= line["experience/candidates"]
        assert line["rows/real"] == line["experience/rows"] > 0
        assert line["experience/localization"] > 0.2
        applied = line["objective/lambda"] * line["objective/grad_norm_auxiliary"]
        assert applied == pytest.approx(3.0 * line["objective/grad_norm_policy"])
