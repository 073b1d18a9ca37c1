# `make` alone says what there is. Everything works in a clean clone: the environment is made on demand, in .venv.
.PHONY: help demo test export lint docs bench clean venv venv-dev
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?=
OUT ?= mlnb-demo
STAGES ?=

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: venv  ## the whole loop on the bundled example; OUT=folder
	@.venv/bin/mlnb demo --out "$(OUT)"
	@cd "$(OUT)" && echo "Open this in a browser: $$(pwd)/reports/index.html"

test: venv-dev  ## everything that must hold; STAGES="sync clean rules notebooks tests" picks
	@.venv/bin/python tests/stages/run.py $(STAGES)

export: venv-dev  ## notebooks to modules, cleaned, and the site's list of pages
	@PATH="$(CURDIR)/.venv/bin:$$PATH" && nbdev_export && nbdev_clean && nbdev_clean --fname templates && .venv/bin/python tests/stages/sidebar.py

lint: venv-dev  ## ruff and mypy
	@.venv/bin/ruff check --config tests/ruff.toml mlnb tests setup.py
	@.venv/bin/mypy --config-file tests/mypy.ini mlnb

docs: venv-dev  ## the documentation site, into _docs (needs Quarto)
	@.venv/bin/python tests/stages/docs.py

bench: venv-dev  ## side by side with other tools; BENCH=name picks
	@.venv/bin/python tests/benchmarks/run.py $(BENCH)

clean:  ## remove everything that can be made again, the environments too
	rm -rf .venv .venv.lock .venv-bench _docs _proc build dist *.egg-info nbs/nbdev.yml .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find mlnb nbs tests templates -name __pycache__ -prune -exec rm -rf {} + -o -name .ipynb_checkpoints -prune -exec rm -rf {} +

venv: EXTRAS =
venv-dev: EXTRAS = dev
venv venv-dev:
	@.venv/bin/python tests/stages/venv.py --complete $(EXTRAS) 2>/dev/null || { \
	  python=$$(PYTHON="$(PYTHON)" sh tests/stages/find_python.sh) && "$$python" tests/stages/venv.py $(EXTRAS); }
