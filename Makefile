# The two commands of the README: `make demo` and `make test`. Both set up .venv first; only Python 3.11
# or newer, make and the package registries are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STARTER := ltzoo-convnets ltzoo-mnist ltzoo-fashion-mnist ltzoo-spoken-digits
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
OUT ?= demo

.PHONY: demo test lint format docs bench clean

demo: $(VENV)/.installed
	@mkdir -p $(OUT)
	$(BIN)/ltzoo translate docs/inputs/digit-*.png --from mnist/vae --to fashion-mnist/vae \
		-o $(OUT)/garments --sheet $(OUT)/digits-to-garments.png
	@echo "Look at $(OUT)/digits-to-garments.png: each garment stands below the digit that it comes from."

test: $(VENV)/.tested
	$(BIN)/python -m pytest

lint: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m cogapp --check README.md docs/*.md

format: $(VENV)/.tested
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Brings help texts and tables in the docs up to date.
docs: $(VENV)/.tested
	$(BIN)/python -m cogapp -r README.md docs/*.md

clean:
	rm -rf $(VENV) $(OUT)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt plugins/*/pyproject.toml
	$(INSTALL) --editable . $(foreach name,$(STARTER),--editable plugins/$(name))
	touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(INSTALL) --editable .[dev]
	touch $@
