"""Training behind a colocated vLLM on a CPU: what the guard lets pass and what it stops (docs/engines.md)."""

import os
from importlib.util import find_spec

import pytest

if find_spec("vllm") is None:
    pytest.skip("vLLM is not installed here: make test-vllm", allow_module_level=True)

import tiny
import torch
from transformers import AutoModelForCausalLM

from mel.hosts.trl import StaleEngineError

# vLLM 0.32 uses names that torch 2.13 renamed.
pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("DeprecationWarning", "FutureWarning")]


PROBE = "engine/probe_effect"


@pytest.fixture(autouse=True)
def environment():
    """Settings of the engine; TRL sets RANK and more for it, which the next trainer would take for a launcher's."""
    before = dict(os.environ)
    os.environ |= {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_CI_ENV": "1",  # no compilation
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
    }
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def unpacked(monkeypatch):
    """Linear layers that multiply by the weight they show, instead of by a packed copy made when it was loaded."""
    from vllm.model_executor.layers import utils

    def plain(layer, remove_weight):
        layer.cpu_linear = torch.nn.functional.linear

    monkeypatch.setattr(utils, "dispatch_cpu_unquantized_gemm", plain)


def trainer(path, auxiliary, **changes):
    """A MELTrainer on a model that lies on disk, for vLLM reads it from there, with a check at every batch."""
    tiny.model(head_dim=32).save_pretrained(path / "model")
    tiny.tokenizer().save_pretrained(path / "model")
    settings = {"max_steps": 6, "learning_rate": 5e-2, "mel_engine_check_every": 1, "vllm_max_model_length": 128}
    args = tiny.config(path, use_vllm=True, vllm_mode="colocate", **settings | changes)
    return tiny.mel_trainer(args, auxiliary, model=AutoModelForCausalLM.from_pretrained(path / "model"))


class Watched(tiny.RowsFrom):
    """Asks for completions like MEL, and notes how far each greedy one is from the argmax of a model (nats)."""

    def __init__(self):
        super().__init__(tiny.some_rows, lambda call: 3)
        self.models = {}
        self.gaps = {}

    def learn(self, groups, *, step):
        outcome = yield from super().learn(groups, step=step)
        greedy = self.answers[-1][0]
        for name, model in self.models.items():
            found = [gap(model, groups[i % len(groups)].prompt_ids, c.token_ids) for i, c in enumerate(greedy)]
            self.gaps.setdefault(name, []).append(max(found))
        return outcome


def gap(model, prompt, completion):
    with torch.no_grad():
        logp_TV = model(torch.tensor([[*prompt, *completion]])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    chosen_T = logp_TV.gather(1, torch.tensor(completion)[:, None])[:, 0]
    return float((logp_TV.max(dim=1).values - chosen_T).max())


def test_with_unpacked_layers_every_check_passes_and_requests_are_answered_by_current_weights(tmp_path, unpacked):
    auxiliary = Watched()
    run = trainer(tmp_path, auxiliary, generation_kwargs={"max_tokens": 3})
    first = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    auxiliary.models = {"current": run.model, "first": first}
    names = ("temperature", "top_p", "max_completion_length", "generation_kwargs")
    before = [getattr(run.vllm_generation, name) for name in names]
    run.train()
    lines = [line for line in run.state.log_history if "loss" in line]
    differences = [line["engine/logp_difference"] for line in lines]
    assert len(differences) == 6
    assert max(differences) < 0.05  # bfloat16, for TRL asks for no precision
    probes = [(line["engine/probe_effect"], line["engine/probe_difference"]) for line in lines if PROBE in line]
    assert len(probes) == 1, "once, at the first batch"
    assert probes[0][0] > 0.4
    assert probes[0][1] < 0.1
    # The argmax of the weights being trained up to rounding, and far from that of the weights at the beginning.
    assert max(auxiliary.gaps["current"]) < 0.1
    assert max(auxiliary.gaps["first"]) > 0.5
    # Each request under its own limit, the rollouts under theirs, and nothing left behind.
    constructed = [c for written, _, _ in auxiliary.answers for c in written]
    replayed = [c for _, replays, _ in auxiliary.answers for c in replays]
    assert max(len(c.token_ids) for c in constructed) == 4
    assert max(len(c.token_ids) for c in replayed) == 5
    assert max(line["completions/max_length"] for line in run.state.log_history if "loss" in line) == 3
    assert [getattr(run.vllm_generation, name) for name in names] == before
    # Two groups and three prompts: the first and the last are one prompt, written about twice and replayed twice.
    assert all(written[0] == written[2] for written, _, _ in auxiliary.answers)
    assert any(replays[0] != replays[2] for _, replays, _ in auxiliary.answers)


def reloading(run):
    """The trainer, its weights now loaded by a call that succeeds and leaves the packed output head as it was."""
    llm = run.vllm_generation.llm

    def reload():
        weights = [(name, p.detach().clone()) for name, p in run.model.named_parameters()]
        llm.collective_rpc("reload_weights", kwargs={"weights_iterator": weights})
        llm.reset_prefix_cache()

    run.vllm_generation.sync_weights = reload
    return run


def test_a_silent_reload_is_found_out_before_the_first_step_whatever_the_learning_rate(tmp_path):
    run = reloading(trainer(tmp_path, tiny.RowsFrom(tiny.some_rows), learning_rate=1e-6))
    before = tiny.parameters(run)
    with pytest.raises(StaleEngineError, match="pushed into the generation engine do not arrive"):
        run.train()
    assert run.state.global_step == 0
    assert all(torch.equal(p, before[name]) for name, p in tiny.parameters(run).items())


def test_without_the_probe_a_silent_reload_is_stopped_by_the_guard_once_training_has_moved_the_policy(tmp_path):
    run = reloading(trainer(tmp_path, tiny.RowsFrom(tiny.some_rows), mel_engine_probe=False))
    with pytest.raises(StaleEngineError, match="does not run on the current weights"):
        run.train()
    assert 1 <= run.state.global_step < 6


def test_the_guard_cannot_tell_a_silent_reload_from_rounding_while_weights_have_hardly_moved(tmp_path):
    # What it compares with its tolerance is how far the policy has moved; docs/engines.md says what follows.
    run = reloading(trainer(tmp_path, tiny.RowsFrom(tiny.some_rows), learning_rate=1e-6, mel_engine_probe=False))
    run.train()
    differences = [line["engine/logp_difference"] for line in run.state.log_history if "loss" in line]
    assert max(differences) < 0.05


def test_as_it_comes_the_cpu_build_refuses_new_weights_before_the_first_step(tmp_path):
    run = trainer(tmp_path, tiny.RowsFrom(tiny.some_rows))
    with pytest.raises(AttributeError, match="weight_loader"):
        run.train()
    assert run.state.global_step == 0
