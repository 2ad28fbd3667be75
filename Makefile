# Everything that people and CI run. `make` lists it.
#
# Variables, passed on to what runs:
#   CONTEXT=name    use that kubeconfig context instead of the embedded cluster
#   REGISTRY=host/p push images there (for a CONTEXT that cannot be loaded directly)
#   PIPELINE=karaoke  what `make demo` shows: a karaoke film in place of stems; sheet-music: a score
#   PYTHON=python3  the interpreter that .venv starts from (3.11 or later)
#   ARGS="-k word"  further arguments of pytest
#   SECONDS=600     how long `make fuzz` takes for each parser
#   JOBS=4          files of tests beside each other in `make test`; 0: one after the other, the cheapest first
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
CONTEXT ?=
REGISTRY ?=
PIPELINE ?= separate
ARGS ?=
JOBS ?= 4
SECONDS := 600
export PYTHON CONTEXT REGISTRY
# Where images of CI set it, each of the hundreds of processes of `make test` would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
RUN := $(VENV)/bin/python
DEV := $(RUN) -m audiojob_dev
PYTEST := $(RUN) -m pytest
# Thousands of small files, and fsync: in memory they cost a quarter of what a disk takes. What passed leaves none.
IN_MEMORY := $(shell [ -w /dev/shm ] && echo TMPDIR=/dev/shm)
PURE := $(IN_MEMORY) $(PYTEST) tests/unit -o tmp_path_retention_policy=failed

##@ Use
.PHONY: demo
demo: venv ## Separate a piece of music on a real Kubernetes, from nothing to stems (PIPELINE=karaoke: to a karaoke film; sheet-music: to a score)
	@$(DEV) demo $(PIPELINE)

.PHONY: test
test: venv ## Run all tests: unit, chart, integration, e2e
	@# All that is imported is compiled once, while the cluster starts. Else each worker compiles all of it.
	@$(PYTEST) --collect-only -qq $(ARGS) >/dev/null 2>&1 & compiling=$$!; $(DEV) prepare; wait $$compiling || true
	@$(PYTEST) -n $(JOBS) $(ARGS)

##@ Develop
.PHONY: venv
venv: $(VENV)/.installed ## Make .venv from the hashed locks
$(VENV)/.installed: requirements/uv.txt requirements/dev.txt pyproject.toml dev/venv.sh
	@dev/venv.sh

.PHONY: test-unit
test-unit: venv ## Run the pure tests (seconds, no cluster)
	@$(PURE) -n 2 $(ARGS)

.PHONY: properties
properties: venv ## Try every property of the unit tests with inputs by chance, up to 2,000 (in `make test`: the same 50 each time)
	@$(PURE) -m hypothesis --hypothesis-profile long --timeout 1800 -n $(JOBS) $(ARGS)

.PHONY: fuzz
fuzz: venv ## Throw inputs by chance at what parses strangers' bytes, SECONDS=600 each (in `make test`: one second each)
	@FUZZ_SECONDS=$(SECONDS) $(PYTEST) tests/fuzz -n $(JOBS) --dist load $(ARGS)

.PHONY: fuzz-api
fuzz-api: venv ## Send the API what its OpenAPI document allows, and what it does not, for SECONDS=600 (in `make test`: for half a minute)
	@API_FUZZ_SECONDS=$(SECONDS) $(PYTEST) tests/integration/api/whole/test_schemathesis.py $(ARGS)

.PHONY: media-matrix
media-matrix: venv ## Try every container with every oddity through the media tasks (two minutes; in `make test`: one of each oddity)
	@MEDIA_MATRIX=all $(PYTEST) tests/integration/runner/tasks/media/matrix -n $(JOBS) --dist load $(ARGS)

.PHONY: bucket
bucket: venv ## Send a song through a bucket on the embedded cluster (two minutes, root; not in `make test`)
	@$(DEV) prepare
	@$(PYTEST) tests/e2e/api/bucket.py $(ARGS)

.PHONY: lint
lint: venv ## Check style, formatting, types and the direction of imports
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

.PHONY: format
format: venv ## Rewrite the sources in the project's style
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

.PHONY: licenses
licenses: venv ## List every licence, and fail on what NOTICE does not allow
	@$(DEV) licenses

.PHONY: floors
floors: venv ## Try the lowest versions that pyproject.toml allows, and record what they have (downloads them)
	@$(DEV) floors

.PHONY: generate
generate: venv ## Write the CRDs, admission policies, rules, dashboards, the settings' schema, docs/{reasons,metrics,tasks}.md, the chart's values and the plain client from the code
	@$(RUN) -m audiojob_types.generate.crd crds charts/audiojob/crds
	@$(RUN) -m audiojob_types.generate.runner_policy charts/audiojob/templates/runner-policy.yaml
	@$(RUN) -m audiojob_types.generate.metadata_policy charts/audiojob/templates/metadata-policy.yaml
	@$(RUN) -m audiojob_types.generate.reference_policy charts/audiojob/templates/reference-policy.yaml
	@$(RUN) -m audiojob_types.generate.deletion_policy charts/audiojob/templates/deletion-policy.yaml
	@$(RUN) -m audiojob_types.generate.address_policy charts/audiojob/templates/address-policy.yaml
	@$(RUN) -m audiojob_types.generate.status_policy charts/audiojob/templates/status-policy.yaml
	@$(RUN) -m audiojob_types.generate.children_policy charts/audiojob/templates/children-policy.yaml
	@$(RUN) -m audiojob_types.generate.chart_values charts/audiojob
	@$(RUN) -m audiojob_types.generate.reasons_doc docs/reasons.md
	@$(RUN) -m audiojob_types.generate.tasks_doc docs/tasks.md
	@$(RUN) -m audiojob_dev.metrics_page docs/metrics.md
	@$(RUN) -m audiojob_dev.plain_client api/audiojob_client
	@$(RUN) -m audiojob_dev.monitoring.generate charts/audiojob
	@$(RUN) -m audiojob_operator.operator_policy charts/audiojob/templates/operator-policy.yaml
	@$(RUN) -m audiojob_operator.settings_schema charts/audiojob/operator-settings.schema.json

.PHONY: release
release: venv ## Make in dist/ what a release publishes (with REGISTRY: push the images there first)
	@$(DEV) release

.PHONY: verify
verify: generate lint ## Generate and lint, then fail if anything in the tree differs from the commit
	@git diff --exit-code --stat || { echo "verify: the files above differ from the commit; commit what 'make generate' wrote" >&2; exit 1; }
	@new=$$(git ls-files --others --exclude-standard); [ -z "$$new" ] || { printf 'verify: not in the commit:\n%s\n' "$$new" >&2; exit 1; }

COMPILE := $(VENV)/bin/uv pip compile --quiet --python-version 3.11 --python-platform x86_64-unknown-linux-gnu \
  --generate-hashes --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade) $(addprefix --upgrade-package ,$(PACKAGE))
.PHONY: lock
lock: venv ## Refresh requirements/ after a change of pyproject.toml (PACKAGE=name or UPGRADE=1 takes newer versions)
	@$(COMPILE) pyproject.toml --all-extras --group dev -o requirements/dev.txt
	@$(COMPILE) pyproject.toml --extra operator --extra api -c requirements/dev.txt -o requirements/control.txt
	@$(COMPILE) pyproject.toml --extra runner -c requirements/dev.txt -o requirements/runner.txt
	@$(COMPILE) pyproject.toml --extra runner --extra torch -c requirements/dev.txt -o requirements/runner-torch.txt
	@$(COMPILE) pyproject.toml --extra runner --extra music -c requirements/dev.txt -o requirements/runner-music.txt
	@$(COMPILE) --group uv -o requirements/uv.txt
	@$(COMPILE) --group go -o requirements/go.txt
	@git --no-pager diff --stat -- requirements

##@ Cluster
.PHONY: cluster-up
cluster-up: venv ## Start the embedded cluster
	@$(DEV) up

.PHONY: cluster-down
cluster-down: venv ## Stop the embedded cluster and whatever a crash left of it
	@$(DEV) down

.PHONY: monitoring
monitoring: venv ## Watch operator and API in a Prometheus on this machine, with the chart's rules (PROMETHEUS=path: that one)
	@$(DEV) monitoring

.PHONY: images
images: venv ## Build the images and load them (or push, with REGISTRY)
	@$(DEV) images

##@ Clean
.PHONY: clean
clean: ## Remove all that demo and tests leave; keep .venv and what took long to build
	@if [ -e "$${AUDIOJOB_STATE_DIR:-$$HOME/.local/state/audiojob}" ]; then $(MAKE) cluster-down; fi
	@rm -rf build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## Remove .venv and the caches of built binaries and images too
	@cache=$${AUDIOJOB_CACHE_DIR:-$$HOME/.cache/audiojob}; if [ -d "$$cache" ]; then chmod -R u+w "$$cache"; rm -rf "$$cache"; fi
	@rm -rf $(VENV)

##@ Help
.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "; print "make TARGET [CONTEXT=name] [REGISTRY=host/path]"} \
	  /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
