# The two commands of the README: `make demo` and `make test`. Both set up .venv first; only Python 3.11
# or newer, make and the package registries are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STARTER := ltzoo-convnets ltzoo-mnist ltzoo-fashion-mnist ltzoo-spoken-digits
# Open families: they bring diffusers and transformers, which the demo does without.
FAMILIES := ltzoo-diffusers ltzoo-taesd ltzoo-transformers
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
OUT ?= demo
GALLERY := docs/gallery

.PHONY: demo test lint format docs gallery clean

demo: $(VENV)/.installed
	@mkdir -p $(OUT)
	$(BIN)/ltzoo translate docs/inputs/digit-*.png --from mnist/vae --to fashion-mnist/vae \
		-o $(OUT)/garments --sheet $(OUT)/digits-to-garments.png
	$(BIN)/ltzoo translate docs/inputs/digit-*.png --from mnist/vae --to spoken-digits/gan \
		-o $(OUT)/spoken --sheet $(OUT)/digits-to-speech.png
	$(BIN)/ltzoo translate docs/inputs/spoken-*.wav --from spoken-digits/vae --to mnist/vae \
		-o $(OUT)/written --sheet $(OUT)/speech-to-digits.png
	@echo "Look at $(OUT)/*.png: below each input stands what it became, sounds as spectrograms."
	@echo "Listen to $(OUT)/spoken/digit-7.wav: a handwritten 7, spoken."

# Two at a time, each with one thread: the suite's networks are too small for more.
test: $(VENV)/.tested
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadscope

lint: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m cogapp --check README.md docs/*.md

format: $(VENV)/.tested
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Brings help texts, tables and a picture in the docs up to date.
docs: $(VENV)/.tested
	$(BIN)/python -m cogapp -r README.md docs/*.md
	$(BIN)/ltzoo explain mnist-spoken-gan -o docs/images/explain.svg > /dev/null

# Pictures and sounds of docs/gallery.md.
gallery: $(VENV)/.installed
	rm -rf $(GALLERY)
	mkdir -p $(GALLERY)
	$(BIN)/ltzoo translate docs/inputs/digit-*.png --from mnist/vae --to spoken-digits/gan \
		--bridge mnist-spoken-gan -o $(GALLERY)/spoken --sheet $(GALLERY)/digits-to-speech.png
	$(BIN)/ltzoo translate docs/inputs/spoken-*.wav --from spoken-digits/vae --to mnist/vae \
		--bridge spoken-mnist -o $(GALLERY)/written --sheet $(GALLERY)/speech-to-digits.png
	$(BIN)/ltzoo translate docs/inputs/digit-*.png --from mnist/vae --to fashion-mnist/vae \
		--bridge mnist-fashion -o $(GALLERY)/garments --sheet $(GALLERY)/digits-to-garments.png
	$(BIN)/ltzoo translate $(GALLERY)/garments/*.png --from fashion-mnist/vae --to spoken-digits/gan \
		--bridge fashion-spoken-gan -o $(GALLERY)/named --sheet $(GALLERY)/garments-to-speech.png
	$(BIN)/ltzoo translate docs/inputs/spoken-*.wav --from spoken-digits/vae --to fashion-mnist/vae \
		--bridge spoken-mnist --bridge mnist-fashion -o $(GALLERY)/worn --sheet $(GALLERY)/speech-to-garments.png
	rm -rf $(GALLERY)/garments $(GALLERY)/named $(GALLERY)/worn $(GALLERY)/written

clean:
	rm -rf $(VENV) $(OUT)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt plugins/*/pyproject.toml
	$(INSTALL) --editable . $(foreach name,$(STARTER),--editable plugins/$(name))
	touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(INSTALL) --editable .[dev] $(foreach name,$(FAMILIES),--editable plugins/$(name))
	touch $@
