"""The `Rewarder` port: an implicit process reward model, a second set of weights learned from outcomes (PRIME)."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import is_peft_model
from torch import Tensor
from trl.trainer.grpo_trainer import GRPOTrainer

from mel.hosts.trl.row_losses import whole_logprobs
from mel.methods import LearnedReward
from mel.objective.implicit_reward import implicit_rewards, outcome_loss
from mel.objective.score import ScoreBatch, in_order, score_batches
from mel.ports import TokenRewards
from mel.requests import Reward, Score

FILE = "mel_implicit_reward.pt"


class ImplicitReward:
    """Two copies of the policy as it is before training: one stays, the other learns by its own AdamW.

    They are float32 whatever the policy is: steps of 1e-6 are lost in bfloat16. Every rank holds both, whole, and the
    gradients are summed over ranks once per request.

    Raises:
        ValueError: a policy that is sharded, or trained by an adapter: neither can be copied so.
    """

    def __init__(self, trainer: GRPOTrainer, spec: LearnedReward) -> None:
        self._trainer: Any = trainer
        accelerator, policy = self._trainer.accelerator, self._trainer.accelerator.unwrap_model(trainer.model)
        is_sharded = self._trainer.is_deepspeed_enabled or self._trainer.is_fsdp_enabled
        check_copies(is_whole=not is_sharded and not is_peft_model(policy))
        self._beta = spec.beta
        self._initial = _copied(policy).float().to(accelerator.device).requires_grad_(False)
        self._learned = _copied(policy).float().to(accelerator.device).requires_grad_(True)
        self._optimizer = torch.optim.AdamW(self._learned.parameters(), lr=spec.learning_rate, weight_decay=0.0)

    def reward(self, request: Reward) -> list[TokenRewards]:
        """One tuple per target, in order, by the weights as they are; then these take a step on the outcomes."""
        asked = Score(contexts=request.contexts, targets=request.targets)
        batches = score_batches(
            asked,
            pad_id=self._trainer.eos_token_ids[0],
            rows_per_batch=self._trainer.args.per_device_train_batch_size,
        )
        total = self._over_ranks(torch.tensor(float(len(request.targets))))
        found = [self._learned_from(batch, request.outcomes, 1 / max(total.item(), 1.0)) for batch in batches]
        self._step(is_empty=total.item() == 0)
        return in_order(asked, batches, found)

    def _learned_from(self, batch: ScoreBatch, outcomes: tuple[bool, ...], scale: float) -> Tensor:
        """Rewards (R, T) of one batch, whose loss is added to the gradients."""
        rows = batch.rows.to(self._trainer.accelerator.device)
        with torch.no_grad():
            initial_RT = whole_logprobs(self._trainer, self._initial, rows)
        with torch.enable_grad():
            logp_RT = whole_logprobs(self._trainer, self._learned, rows)
            reward_RT = implicit_rewards(logp_RT, initial_RT, rows.target_RT, beta=self._beta)
            right_R = torch.tensor([float(outcomes[i]) for i in batch.positions], device=reward_RT.device)
            # Where every target of a batch is empty there is one dummy row, which has no outcome.
            (scale * outcome_loss(reward_RT[: len(right_R)], right_R)).backward()
        return reward_RT.detach().float().cpu()

    def _step(self, *, is_empty: bool) -> None:
        for parameter in self._learned.parameters():
            if self._trainer.accelerator.num_processes > 1:
                parameter.grad = self._over_ranks(
                    torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                )
        # Without any outcome the moments must not move the weights either.
        if not is_empty:
            self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def _over_ranks(self, value: Tensor) -> Tensor:
        return self._trainer.accelerator.reduce(value.to(self._trainer.accelerator.device), reduction="sum")

    def save(self, directory: Path) -> None:
        """Weights and moments; the initial copy is the model that a run starts from."""
        torch.save({"model": self._learned.state_dict(), "optimizer": self._optimizer.state_dict()}, directory / FILE)

    def load(self, directory: Path) -> None:
        """What `save` wrote.

        Raises:
            ValueError: the checkpoint has none, so it is of a run without an implicit reward model.
        """
        path = directory / FILE
        if not path.is_file():
            raise ValueError(f"{directory} holds no {FILE}: expected a checkpoint of a run with source: implicit")
        state = torch.load(path, map_location=self._trainer.accelerator.device, weights_only=True)
        self._learned.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])


def check_copies(*, is_whole: bool) -> None:
    """Refuses a policy that is sharded, or trained by an adapter.

    Raises:
        ValueError: with what to do instead.
    """
    if not is_whole:
        raise ValueError(
            "an implicit reward model is a copy of all weights: expected a policy that is neither sharded (FSDP, "
            "DeepSpeed) nor trained by a LoRA adapter; take source: model or monte_carlo, or train it whole"
        )


def rewarder_of(trainer: GRPOTrainer, spec: LearnedReward | None) -> ImplicitReward | None:
    """The reward model that a method declares to learn; None if it declares none."""
    return None if spec is None else ImplicitReward(trainer, spec)


def _copied(policy: Any) -> Any:
    """The same weights in a model of their own, without dropout."""
    found = deepcopy(policy)
    # What TRL and accelerate put in the place of `forward` still calls the original's after a copy.
    found.__dict__.pop("forward", None)
    return found.eval()
