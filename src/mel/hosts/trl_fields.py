"""What the `trainer` section of a recipe may hold for the TRL host, known without importing TRL.

By this table a recipe is refused in a fraction of a second; to import `GRPOConfig` takes several, and a machine that
only plans need not have it. The names are those of `GRPOConfig` and our `mel_engine_*`; a type is GRPOConfig's, or
narrower where that would take what ends a run later. A test compares all of it with the TRL that is installed.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mel.value_check import because

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
LogLevel = Literal["detail", "debug", "info", "warning", "error", "critical", "passive"]
Schedule = Literal[
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
    "reduce_lr_on_plateau",
    "cosine_with_min_lr",
    "cosine_warmup_with_min_lr",
    "warmup_stable_decay",
    "greedy",
]
Optimizer = Literal[
    "adamw_torch",
    "adamw_torch_fused",
    "adamw_torch_xla",
    "adamw_torch_npu_fused",
    "adafactor",
    "adamw_anyprecision",
    "adamw_torch_4bit",
    "adamw_torch_8bit",
    "ademamix",
    "sgd",
    "adagrad",
    "adamw_bnb_8bit",
    "adamw_8bit",
    "ademamix_8bit",
    "lion_8bit",
    "lion_32bit",
    "paged_adamw_32bit",
    "paged_adamw_8bit",
    "paged_ademamix_32bit",
    "paged_ademamix_8bit",
    "paged_lion_32bit",
    "paged_lion_8bit",
    "rmsprop",
    "rmsprop_bnb",
    "rmsprop_bnb_8bit",
    "rmsprop_bnb_32bit",
    "galore_adamw",
    "galore_adamw_8bit",
    "galore_adafactor",
    "galore_adamw_layerwise",
    "galore_adamw_8bit_layerwise",
    "galore_adafactor_layerwise",
    "lomo",
    "adalomo",
    "grokadamw",
    "schedule_free_radam",
    "schedule_free_adamw",
    "schedule_free_sgd",
    "apollo_adamw",
    "apollo_adamw_layerwise",
    "stable_adamw",
]
Tracker = Literal[
    "none",
    "all",
    "azure_ml",
    "comet_ml",
    "mlflow",
    "neptune",
    "tensorboard",
    "trackio",
    "wandb",
    "codecarbon",
    "clearml",
    "dagshub",
    "flyte",
    "dvclive",
    "swanlab",
    "kubeflow",
]


class TRLFields:
    """Name -> type, in the order of `GRPOConfig` after those that a run settles otherwise."""

    output_dir: Annotated[None, because("the run directory settles it: use output.path or --output")]
    run_name: Annotated[None, because("the run directory settles it: use output.path or --output")]
    resume_from_checkpoint: Annotated[None, because("mel train --resume goes on from the last checkpoint")]

    per_device_train_batch_size: Count
    num_train_epochs: Positive
    max_steps: Literal[-1] | Count
    learning_rate: NotNegative
    lr_scheduler_type: Schedule
    lr_scheduler_kwargs: dict | str | None
    warmup_steps: NotNegative
    optim: Optimizer
    optim_args: str | None
    weight_decay: NotNegative
    adam_beta1: Annotated[float, Field(ge=0, lt=1)]
    adam_beta2: Annotated[float, Field(ge=0, lt=1)]
    adam_epsilon: NotNegative
    optim_target_modules: str | list[str] | None
    gradient_accumulation_steps: Count
    average_tokens_across_devices: bool
    max_grad_norm: NotNegative
    label_smoothing_factor: Share
    bf16: bool | None
    fp16: bool
    bf16_full_eval: bool
    fp16_full_eval: bool
    tf32: bool | None
    activation_checkpointing: bool | None
    activation_checkpointing_kwargs: dict | str | None
    gradient_checkpointing: bool
    gradient_checkpointing_kwargs: dict | str | None
    torch_compile: bool
    torch_compile_backend: str | None
    torch_compile_mode: str | None
    use_liger_kernel: bool
    liger_kernel_config: dict[str, bool] | None
    use_cache: bool
    neftune_noise_alpha: NotNegative | None
    torch_empty_cache_steps: Count | None
    auto_find_batch_size: Annotated[Literal[False], because("a generation batch holds whole groups")]
    logging_strategy: Literal["no", "steps", "epoch"]
    logging_steps: Positive
    logging_first_step: bool
    log_on_each_node: bool
    logging_nan_inf_filter: bool
    include_num_input_tokens_seen: Literal["no", "all", "non_padding"] | bool
    log_level: LogLevel
    log_level_replica: LogLevel
    disable_tqdm: bool | None
    report_to: Tracker | list[Tracker] | None
    project: str
    trackio_space_id: str | None
    trackio_bucket_id: str | None
    trackio_static_space_id: str | Literal[False] | None
    eval_strategy: Annotated[Literal["no"], because("evaluation.every evaluates within a run")]
    eval_steps: Positive | None
    eval_delay: NotNegative
    per_device_eval_batch_size: Count
    prediction_loss_only: bool
    eval_on_start: Annotated[Literal[False], because("evaluation.before evaluates the untrained policy")]
    eval_do_concat_batches: bool
    eval_use_gather_object: bool
    eval_accumulation_steps: Count | None
    include_for_metrics: list[str]
    batch_eval_metrics: bool
    save_only_model: bool
    save_strategy: Literal["no", "steps", "epoch"]
    save_steps: Positive
    save_on_each_node: bool
    save_total_limit: int | None
    enable_jit_checkpoint: bool
    push_to_hub: bool
    hub_token: str | None
    hub_private_repo: bool | None
    hub_model_id: str | None
    hub_strategy: Literal["end", "every_save", "checkpoint", "all_checkpoints"]
    hub_always_push: bool
    hub_revision: str | None
    load_best_model_at_end: Annotated[
        Literal[False], because("a run keeps its last policy; `mel eval` takes any checkpoint")
    ]
    metric_for_best_model: str | None
    greater_is_better: bool | None
    ignore_data_skip: bool
    restore_callback_states_from_checkpoint: bool
    full_determinism: bool
    seed: Seed
    data_seed: Seed | None
    use_cpu: bool
    accelerator_config: dict | str | None
    parallelism_config: None
    dataloader_drop_last: bool
    dataloader_num_workers: Annotated[int, Field(ge=0)]
    dataloader_pin_memory: bool
    dataloader_persistent_workers: bool
    dataloader_prefetch_factor: Count | None
    dataloader_multiprocessing_context: Literal["fork", "spawn", "forkserver"] | None
    dataloader_in_order: bool
    remove_unused_columns: Annotated[Literal[False], because("the verifier reads the columns of a problem")]
    label_names: list[str] | None
    train_sampling_strategy: Literal["random", "sequential", "group_by_length", "batch_rebalance"]
    length_column_name: str
    ddp_find_unused_parameters: bool | None
    ddp_bucket_cap_mb: Count | None
    ddp_broadcast_buffers: bool | None
    ddp_static_graph: bool | None
    ddp_backend: Literal["nccl", "gloo", "mpi", "xccl", "hccl", "cncl", "mccl"] | None
    ddp_timeout: Count
    fsdp: str | None
    fsdp_config: dict | str | None
    deepspeed: dict | str | None
    debug: str
    skip_memory_metrics: bool
    do_train: bool
    do_eval: bool
    do_predict: bool
    local_rank: int
    model_init_kwargs: dict | str | None
    trust_remote_code: bool
    router_aux_loss_coef: NotNegative | None
    disable_dropout: bool
    cast_lm_head_to_fp32: bool
    num_generations: Annotated[int, Field(ge=2)]
    num_generations_eval: Annotated[int, Field(ge=1)] | None
    max_completion_length: Count
    ds3_gather_for_generation: bool
    shuffle_dataset: bool
    pad_to_multiple_of: Annotated[int, Field(ge=1)] | Literal["auto"] | None
    generation_batch_size: Count | None
    steps_per_generation: Count | None
    temperature: Positive
    top_p: Annotated[float, Field(gt=0, le=1)]
    top_k: Annotated[int, Field(ge=-1)]
    min_p: Share | None
    generation_kwargs: dict | str | None
    chat_template_kwargs: dict | str | None
    repetition_penalty: Positive
    cache_implementation: str | None
    use_vllm: bool
    vllm_mode: Literal["colocate", "server"]
    vllm_model_impl: Literal["vllm", "transformers"]
    vllm_enable_sleep_mode: bool
    vllm_structured_outputs_regex: str | None
    vllm_server_base_url: str | None
    vllm_server_host: str
    vllm_server_port: Annotated[int, Field(ge=1, le=65535)]
    vllm_server_timeout: Positive
    vllm_group_port: Annotated[int, Field(ge=1, le=65535)]
    vllm_gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)]
    vllm_max_model_length: Count | None
    vllm_tensor_parallel_size: Count
    beta: NotNegative
    num_iterations: Count
    epsilon: NotNegative
    delta: Positive | None
    epsilon_high: NotNegative | None
    sapo_temperature_neg: Positive
    sapo_temperature_pos: Positive
    vespo_k_pos: float
    vespo_lambda_pos: float
    vespo_k_neg: float
    vespo_lambda_neg: float
    importance_sampling_level: Literal["token", "sequence"]
    reward_weights: Annotated[list[float], Field(min_length=1, max_length=1)] | None
    multi_objective_aggregation: Literal["sum_then_normalize", "normalize_then_sum"]
    scale_rewards: Literal["group", "batch", "none"] | bool
    loss_type: Literal["grpo", "dapo", "dr_grpo", "bnpo", "cispo", "sapo", "luspo", "vespo"]
    mask_truncated_completions: bool
    sync_ref_model: bool
    ref_model_mixup_alpha: Share
    ref_model_sync_steps: Count
    top_entropy_quantile: Share
    entropy_coef: NotNegative
    use_adaptive_entropy: bool
    entropy_coef_min: NotNegative
    entropy_coef_max: NotNegative
    entropy_coef_delta: NotNegative
    entropy_target: NotNegative
    max_tool_calling_iterations: Count | None
    vllm_importance_sampling_correction: bool
    vllm_importance_sampling_mode: Literal["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]
    vllm_importance_sampling_clip_max: NotNegative | None
    vllm_importance_sampling_clip_min: NotNegative | None
    off_policy_mask_threshold: NotNegative | None
    use_bias_correction_kl: bool
    log_completions: bool
    log_multimodal: bool
    num_completions_to_print: int | None
    log_unique_prompts: bool
    log_completions_hub_repo: str | None
    use_transformers_continuous_batching: bool
    transformers_continuous_batching_config: dict | str | None
    use_transformers_paged: bool
    vllm_importance_sampling_cap: NotNegative | None
    mel_engine_check_every: Annotated[int, Field(ge=0)]
    mel_engine_tolerance: Positive
    mel_engine_probe: bool
