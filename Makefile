# make run     the page, on http://127.0.0.1:7860
# make test    every test: pure, engine, browser
# make check   format, lint, types
# make bench   speed and memory against named peers, in one run
# make screenshots   the README's pictures, from the running app
# make setup   the environment with the test needs, nothing started

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
MIRRORS := $(VENV)-mirrors
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: run test check bench setup screenshots clean

run: $(VENV)/run.stamp
	$(BIN)/python app.py

setup: $(VENV)/dev.stamp

test: setup $(MIRRORS)/stamp
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile
	$(MIRRORS)/bin/python -m pytest tests/mirrors

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m benchmarks

screenshots: setup
	$(BIN)/python -m tests.browser.screenshots

clean:
	rm -rf $(VENV) $(MIRRORS) .pytest_cache .ruff_cache .mypy_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade "pip>=24.2"

$(VENV)/run.stamp: requirements.txt constraints.txt | $(VENV)/bin/python
	$(PIP) -r requirements.txt -c constraints.txt
	touch $@

$(VENV)/dev.stamp: requirements.txt requirements-dev.txt constraints.txt | $(VENV)/bin/python
	$(PIP) -r requirements-dev.txt -c constraints.txt
	sh .ci/chromium $(BIN)
	touch $@ $(VENV)/run.stamp

# The trackers bring packages that the page would use where it finds them: what they need beyond the rest stands apart.
$(MIRRORS)/stamp: requirements-mirrors.txt $(VENV)/dev.stamp
	$(BIN)/python -m venv $(MIRRORS)
	$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" | \
		xargs realpath > "$$($(MIRRORS)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/rest.pth"
	$(MIRRORS)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-mirrors.txt -c constraints.txt
	touch $@
