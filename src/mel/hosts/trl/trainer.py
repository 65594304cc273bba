"""`MELTrainer`: TRL's GRPOTrainer plus a method's auxiliaries, by overriding the members `contract` names."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from mel.hosts.reward_model import rater_of
from mel.hosts.trl import contract, state
from mel.hosts.trl.buffered import ROWS
from mel.hosts.trl.checkpoints import readable, whole_or_nothing
from mel.hosts.trl.config import check_settings, setting, splits_groups
from mel.hosts.trl.defaults import (
    PlainText,
    chat_tokenizer,
    check_method,
    default_method,
    default_prompts,
    learning_of,
    refuse_auxiliaries,
    refuse_early,
)
from mel.hosts.trl.engine_guard import EngineCheck, EngineProbe, is_comparable
from mel.hosts.trl.implicit_reward import rewarder_of
from mel.hosts.trl.learner import Learner
from mel.hosts.trl.observer import MetricsToObserver
from mel.hosts.trl.policy_loss import check_own_loss, policy_loss_of
from mel.hosts.trl.precision import cast_once
from mel.hosts.trl.problems import Scored
from mel.hosts.trl.progress import ProgressReporter
from mel.hosts.trl.surrogates import own_surrogate
from mel.hosts.trl.trackers import experience_tables
from mel.hosts.trl.update import RowUpdate, Slot
from mel.hosts.trl.verdicts import VerdictsOfSpread, rollout_verifier
from mel.hosts.trl.window import check_window, window_of
from mel.methods import Method
from mel.ports import Observer, Steps, Task, Verifier
from mel.step import Accounting, RowLearning


class MELTrainer(GRPOTrainer):
    """GRPOTrainer that also learns from meta-experiences; takes all its arguments, and further by keyword.

    Args:
        method: carrier, credit and auxiliaries; None for plain GRPO with MEL as `args` says (`mel_*` fields,
            their defaults if `args` is a plain GRPOConfig).
        verifier: says which rollouts and replays are right; None for the task, or else for the reward function
            that `mel_correctness` names.
        task: brings verifier, segmentation and prompt set; all three can be given apart.
        segmenter: numbered steps of a solution; None for the task's, or else for one step per line.
        observer: hears of every outcome and metric, on the main process.
        learning: how each auxiliary's rows enter the optimizer step, by its name; those that are not named are learned
            as `args` says (`mel_weight`, `mel_reduction`, `mel_backward`, ...).

    Raises:
        ContractError: the installed TRL is not one this host fits.
        StaleEngineError: while training, if the engine samples from other weights than those trained.
        ValueError: a group split over ranks, a weight rule that the layout rules out, no fast tokenizer, ...
    """

    _tag_names = ["trl", "grpo", "mel"]  # noqa: RUF012 - as TRL declares them
    _name = "MEL"
    _paper = {  # noqa: RUF012
        "title": "Internalizing Meta-Experience into Memory for Guided Reinforcement Learning in Large Language Models",
        "id": "2602.10224",
    }

    args: GRPOConfig
    _buffered_inputs: Any

    def __init__(
        self,
        *positional: Any,
        method: Method | None = None,
        verifier: Verifier | None = None,
        task: Task | None = None,
        segmenter: Steps | None = None,
        observer: Observer | None = None,
        learning: Mapping[str, RowLearning] | None = None,
        **keywords: Any,
    ) -> None:
        contract.require(GRPOTrainer)
        is_plain = method is not None and not method.reads_text
        given = inspect.signature(GRPOTrainer.__init__).bind_partial(self, *positional, **keywords).arguments
        if not is_plain:
            refuse_early(given, has_verifier=(verifier or task) is not None)
        super().__init__(*positional, **keywords)
        check_settings(self.args)
        model: Any = self.model
        if not any(p.requires_grad for p in model.parameters()):
            raise ValueError("the model has no trainable parameter: expected one with requires_grad at least")
        tokenizer: Any = PlainText(self._tokenizer) if is_plain else chat_tokenizer(self.args, self._tokenizer)
        own_prompts = default_prompts(self.args, task) if method is None else None
        method = method or default_method(self.args, tokenizer, task=task, segmenter=segmenter)
        self._check_method(method)
        learned = learning_of(self.args, method, learning or {})
        if method.reads_text:
            check_window(window_of(self, method, own_prompts, tokenizer), self.train_dataset, tokenizer)
        tables = experience_tables(self, setting(self.args, "tracked_experiences"))
        observers = [o for o in (observer, tables) if o is not None]
        self._progress = ProgressReporter(self, observers)
        self._learner = Learner(
            self,
            method,
            tokenizer=tokenizer,
            source=VerdictsOfSpread(int(self.num_generations or 1))
            if is_plain and verifier is None and task is None
            else rollout_verifier(
                self,
                tokenizer,
                verifier=verifier or task,
                which=setting(self.args, "correctness"),
                threshold=setting(self.args, "right_above"),
            ),
            learning=learned,
            observers=observers,
            progress=self._progress,
            rater=rater_of(method.credit_settings.reward_model, self.accelerator.device),
            rewarder=rewarder_of(self, method.credit_settings.learned_reward),
        )
        self._update = RowUpdate(self, learned, compare_every=method.compares_gradients_every)
        self._check_engine, self._probe_engine = self._engine_guards()
        self._sampler: Any = None
        self._scored: Scored | None = None
        self._pending: Sequence[Slot] | None = None
        self._seconds = {"update": 0.0, "generation": 0.0}
        self._sums: set[str] = set()
        if observers:
            # After the trackers' own callbacks: a table follows the metrics of its step.
            self.add_callback(MetricsToObserver(observers))

    def _check_method(self, method: Method) -> None:
        """Refuses a method that these arguments or this model could not train, before anything is built for it."""
        check_method(
            self.args,
            carrier=method.carrier.name,
            surrogate=method.carrier.surrogate,
            credit=method.credit.name,
            samples_initial=method.carrier_settings.samples_initial,
            settings=method.settings,
            has_auxiliaries=bool(method.auxiliaries) or method.diagnosis is not None,
        )
        self.own_surrogate = own_surrogate(method.carrier)
        if self.own_surrogate is not None:
            check_own_loss(self, method.carrier.surrogate)
        self._has_whole_groups = not splits_groups(self.args)
        if self._is_vlm or self.tools or self.environment_factories is not None:
            refuse_auxiliaries(method, "images" if self._is_vlm else "tools or environments")

    def _engine_guards(self) -> tuple[EngineCheck, EngineProbe]:
        tolerance = setting(self.args, "engine_tolerance")
        can_check = not self.use_vllm or is_comparable(self.args)
        every = setting(self.args, "engine_check_every") if can_check else 0
        check = EngineCheck(self, every=every, tolerance=tolerance)
        is_wanted = can_check and setting(self.args, "engine_probe")
        return check, EngineProbe(self, is_wanted=is_wanted, tolerance=tolerance)

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> torch.Tensor:
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        if self._is_training:
            total = (rewards * self.reward_weights.to(rewards)).nansum(dim=1)
            total[rewards.isnan().all(dim=1)] = torch.nan
            start = self.accelerator.process_index * len(prompts)
            local = slice(start, start + len(prompts))
            self._scored = Scored(
                examples=inputs,
                completion_ids=completion_ids_list,
                rewards=total[local].tolist(),
                all_rewards=total.tolist(),
                rewards_per_function=rewards[local].tolist(),
            )
        return rewards

    def _generate(self, prompts: Any) -> Any:
        # What auxiliaries ask for does not come this way: that is the current policy's.
        with self._learner.sampling() if self._is_training else nullcontext():
            return super()._generate(prompts)

    def _generate_single_turn(self, prompt_ids: Any, *positional: Any, **keywords: Any) -> Any:
        followed = self._progress.generating(len(prompt_ids)) if self._is_training else nullcontext()
        # vLLM casts by itself.
        with followed, nullcontext() if self.use_vllm else cast_once(self.accelerator):
            return super()._generate_single_turn(prompt_ids, *positional, **keywords)

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        begin = perf_counter()
        if self._is_training:
            self._progress.enter("rollout")
        output = super()._generate_and_score_completions(inputs)
        if not self._is_training or self._scored is None:
            return output
        self._note(self._check_engine(output))
        self._note(self._probe_engine(output))
        if not self._has_whole_groups:
            # A method without auxiliaries leaves the batch as TRL made it; only our metrics need whole groups.
            self._scored = None
            return output
        accounting = Accounting()
        accounting.add_seconds("rollout", begin)
        accounting.tokens["rollout"] += sum(len(ids) for ids in self._scored.completion_ids)
        learned = self._learner.learn(self._scored, output, accounting)
        if learned.advantages is not None:
            output["advantages"] = learned.advantages
            self._log_advantages(learned.advantages, output["completion_mask"])
        self._scored, self._pending = None, learned.slots
        self._note_batch(learned.metrics, learned.sums)
        self._seconds["generation"] += perf_counter() - begin
        return output

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        inputs = super()._prepare_inputs(generation_batch)
        # Only now: before, TRL shuffles and cuts every entry along the policy's batch.
        if self._is_training and self._pending is not None and self._buffered_inputs is not None:
            for slot, rows in zip(self._buffered_inputs, self._pending, strict=True):
                slot[ROWS] = rows
            self._pending = None
        return inputs

    def _compute_loss(self, model: Any, inputs: Any) -> Any:
        if not self._is_training:
            return super()._compute_loss(model, inputs)
        self._progress.micro_batch()
        self._update.before_policy(model, self._slots_ahead())
        loss = (
            super()._compute_loss(model, inputs)
            if self.own_surrogate is None
            else policy_loss_of(self, model, inputs, self.own_surrogate)
        )
        rows = self._update.joint_loss(model, inputs.get(ROWS) or {})
        return loss if rows is None else loss + rows

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        begin = perf_counter()
        loss = super().training_step(model, inputs, num_items_in_batch)
        self._note(self._update.after_micro_step(model))
        self._seconds["update"] += perf_counter() - begin
        if self.accelerator.sync_gradients:
            self._progress.end_step()
            self._note({"time_s/update": self._seconds["update"] - self._seconds["generation"]})
            self._seconds = {"update": 0.0, "generation": 0.0}
        return loss

    @property
    def _is_training(self) -> bool:
        return self.model is not None and self.model.training

    def _slots_ahead(self) -> list[Slot]:
        """Rows of this micro-step, then of those after it, as many as an optimizer step has."""
        first = self._step % (self.args.steps_per_generation or 1)
        buffered = (self._buffered_inputs or [])[first : first + self.current_gradient_accumulation_steps]
        return [slot.get(ROWS) or {} for slot in buffered]

    def _log_advantages(self, advantages: torch.Tensor, mask_BT: torch.Tensor) -> None:
        """Puts the final advantages, a mean per rollout, in the place of those that TRL has logged already."""
        if advantages.dim() == 2:
            advantages = (advantages * mask_BT).sum(1) / mask_BT.sum(1).clamp(min=1)
        gathered: Any = self.accelerator.gather(advantages)
        final = gathered.tolist()
        for _ in final[: len(self._logs["advantages"])]:
            self._logs["advantages"].pop()
        self._logs["advantages"].extend(final)

    def _note(self, metrics: Any) -> None:
        for name, value in metrics.items():
            self._metrics["train"][name].append(value)

    def _note_batch(self, metrics: Mapping[str, float], sums: frozenset[str]) -> None:
        """Notes what a generation batch measured; a line holds means over batches, so a missing count is a 0."""
        self._note(metrics)
        self._sums |= sums
        logged = self._metrics["train"]
        batches = len(logged["reward/mean"])
        for name in self._sums & logged.keys():
            logged[name].extend([0.0] * (batches - len(logged[name])))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(self._get_output_dir(trial=trial)) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        with whole_or_nothing(folder, is_writer=self.args.should_save):
            # Ours first: the trainer's own state file comes last and marks a checkpoint as whole.
            state.save(folder, self, self._learner, self._update.learning)
            super()._save_checkpoint(model, trial)

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        # The last file but the trainer's own state. Every rank has written its part now.
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            state.seal(Path(output_dir))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        with readable(resume_from_checkpoint):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_optimizer_and_scheduler(self, checkpoint: Any) -> None:
        with readable(checkpoint):
            super()._load_optimizer_and_scheduler(checkpoint)
            if checkpoint is not None:
                state.load(Path(checkpoint), self, self._learner, self._update.learning)
                state.pass_epochs(self._sampler, int(self.state.epoch or 0))

    def _run_epoch(self, *positional: Any, **keywords: Any) -> None:
        # Transformers looks for the end of a run only behind a step: resumed at its last one it would do one more.
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return
        super()._run_epoch(*positional, **keywords)

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        self._sampler = super()._get_train_sampler(dataset)
        return self._sampler
