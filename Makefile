# The two commands of the README, and what they are made of. Needs Python >= 3.11 and make; everything else is set up here.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= $(shell $(PYTHON) -c "import os; print(len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count())")

.PHONY: demo test lint typecheck imports guard pytest setup clean

# Three losses through search, repeats and report, on letters made from matplotlib's fonts.
demo: setup
	$(BIN)/mlrc run --dataset glyphs --losses contrastive,multi_similarity,multi_proxy_anchor --protocol quick \
		--root data --runs runs/demo --workers $(WORKERS)

# Everything that must hold.
test: setup lint typecheck imports guard pytest

lint:
	$(BIN)/ruff check
	$(BIN)/ruff format --check

typecheck:
	$(BIN)/mypy

imports:
	$(BIN)/lint-imports

# What is published is what its evidence gives, and neither formulas nor training have drifted. On another processor the
# canary's seeds give other numbers: status 3 says that all rows were compared, that what differs lies within their noise,
# and no more. A loss that falls by about three points is still moved, status 1, as by half the margin or ten times the
# learning rate; smaller faults are for the goldens. Other rules or a loss that is not there are not compared, status 4.
guard:
	$(BIN)/mlrc leaderboard --check
	$(BIN)/mlrc goldens
	rm -rf runs/canary
	OMP_NUM_THREADS=1 $(BIN)/mlrc canary --runs runs/canary --workers $(WORKERS)
	$(BIN)/mlrc drift canary runs/canary || test $$? -eq 3

# One thread in each of the processes, which are as many as there are cores; threads that wait for each other would burn them.
pytest:
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/pytest -n $(WORKERS)

setup: $(VENV)/.installed
	@$(BIN)/python hatch_build.py # the links that give each file its name, where they were cleaned away

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(None if sys.version_info >= (3, 11) else 'Python 3.11 or newer is needed, this is ' + sys.version)"
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) runs/demo runs/canary
