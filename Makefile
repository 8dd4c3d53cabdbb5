# Everything runs in an environment of the project's own, .venv, made and kept up to date by the targets themselves:
#
#   make demo                  execute notebooks/quickstart.ipynb in a session of the local pool
#   make test [ARGS="-k run"]  the tests, or those that pytest's arguments select
#   make unit [ARGS="-k wire"]  those that start no process, in about 20 seconds
#   make slow                  full pools, sessions left over, packages, saves, other front ends: what takes long; in five minutes
#   make explore               the tests that Hypothesis drives, with other examples each time
#   make repeat [RUNS=20]      the tests, so many times in a row, to find those that need luck; in two hours
#   make browser               what users see in JupyterLab and on the pool's page, in a real browser, in two minutes
#   make contract              what holds on every way to a pod, and on that of REMOTE_KERNEL_LIVE_ENDPOINT; in minutes
#   make live [ARGS="--fill 25"]  all that a real session pool has to be asked, in one report that can be published
#   make notebooks             execute all of notebooks/ and compare with their stored outputs, in a minute
#   make soak [ARGS="--runs 50"]  hundreds of notebooks over lines that fail by chance, in minutes
#   make bench [ARGS="cell --quick"]  side by side with ipykernel: a table, JSON and a plot in .build, in five minutes
#   make peers [ARGS="cell --quick"]  the same beside Jupyter's gateways and jupyter-kernel-client, in five minutes
#   make many [ARGS="--kernels 10"]  50 kernels on one pool, 600 sessions at its front door, in minutes
#   make state [ARGS="--megabytes 10"]  saves of variables, beside dill and kishu, for docs/state.md, in some minutes
#   make profile [ARGS="cell"]  what each process spends its processor time on, by Linux's perf, in two minutes
#   make flames [ARGS="cell"]  in which functions local kernel and agent spend it, as pictures in docs, in a minute
#   make performance           the tables and pictures of docs/performance.md anew, on a machine that does nothing else
#   make scale [ARGS="--people 1000"]  a simulated day of 10,000 notebooks on 600 sessions, in a minute
#   make large                 a file of 200 MB through lines that are cut, in half a minute
#   make image                 what deploy/Dockerfile does, step by step in a folder, with downloads
#   make hub                   users of a JupyterHub on one pool, in half a minute
#   make tools                 programs and extensions beside us that run notebooks, each in an environment of its own
#   make clients               clients of Azure's session pools, as published on PyPI, against the local pool
#   make public                notebooks out of packages on PyPI, with files beside them, by nbclient, nbval and others
#   make windows               the unit tests as they would be on Windows, in one to two minutes
#   make wine [ARGS="--unit tests/io"]  the package in a Python for Windows, under Debian's wine, in five minutes
#   make lint                  what the code must look like
#   make clean                 remove the environment and all that was built

.PHONY: demo notebooks test unit slow explore repeat contract live soak bench peers many profile flames state performance large scale image browser places hub tools clients public windows wine lint clean
.DELETE_ON_ERROR:

# As an installation has it: every kernel and pod that a test or a benchmark starts would compile the package anew.
export PYTHONDONTWRITEBYTECODE :=

VENV := .venv
BUILD := .build
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

# The first of these that is new enough; pyenv and the like put names on the path that do not run.
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11
IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in $(CANDIDATES); do \
	if $$name -c '$(IS_NEW_ENOUGH)' 2>/dev/null; then echo $$name; break; fi; done)

# What runs nowhere but on Linux and macOS: the local pool, and what runs in pods.
UNIX_ONLY := ^remote_kernel/(pod/|injected/|namespace/|pool/(?!__init__|options|sessions|timings)|client/pool_daemon|io/system/(open_files|fork_server|forking)|io/http1/serving)

REPORT := $(BUILD)/quickstart.html
EXECUTED := $(BUILD)/quickstart.ipynb

# An endpoint that is set for daily work is not theirs to use.
demo notebooks: export REMOTE_KERNEL_ENDPOINT :=
demo: $(VENV)/demo.stamp
	@mkdir -p $(BUILD)
	@$(BIN)/remote-kernel run notebooks/quickstart.ipynb -o $(EXECUTED) --html $(REPORT)
	@echo
	@grep --only-matching 'Every cell ran in the same pod: [[:alnum:]][[:alnum:]._-]*' $(EXECUTED)
	@echo 'The pool that made it stops by itself when it is idle. To look at the report, open'
	@echo '$(CURDIR)/$(REPORT)'

notebooks: $(VENV)/demo.stamp
	$(BIN)/remote-kernel run --verify notebooks/ --jobs 2 $(ARGS)

# More processes than most machines in CI have processors, as most tests wait; in the order of the files, as otherwise
# those of few but long tests come last, and the processes wait for one another.
test: $(VENV)/test.stamp
	$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

unit: $(VENV)/test.stamp
	$(BIN)/python -m pytest --unit --numprocesses 2 --dist loadfile $(ARGS)

slow: $(VENV)/test.stamp
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile -m slow $(ARGS)

explore: $(VENV)/test.stamp
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m hypothesis --hypothesis-profile explore $(ARGS)

repeat: $(VENV)/test.stamp
	$(BIN)/python -m tests.repeat $(or $(RUNS),20)

contract: $(VENV)/test.stamp
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m contract $(ARGS)

# On the pool of REMOTE_KERNEL_LIVE_ENDPOINT, which costs money: a handful of sessions, and minutes.
live: $(VENV)/test.stamp
	$(BIN)/python -m tests.live $(ARGS)

scale: $(VENV)/demo.stamp
	$(BIN)/python -m benchmarks.scale --output $(BUILD) $(ARGS)

image: $(VENV)/test.stamp
	$(BIN)/python -m pytest -m image tests/deploy

soak: $(VENV)/test.stamp
	$(BIN)/python -m tests.soak $(ARGS)

large: $(VENV)/test.stamp
	$(BIN)/python -m pytest -m large tests/cli/test_large_files.py $(ARGS)

bench: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks --output $(BUILD) $(ARGS)
	$(if $(ARGS),,$(BIN)/python -m benchmarks.workspace)

peers: $(VENV)/peers.stamp
	$(BIN)/python -m pytest --quiet -m peers tests/benchmarks/test_peers.py
	$(BIN)/python -m benchmarks.peers --output $(BUILD) $(ARGS)

many: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.many $(ARGS)

profile: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.shares $(ARGS)

flames: $(VENV)/flames.stamp
	$(BIN)/python -m benchmarks.flames $(ARGS)

state: $(VENV)/test.stamp $(BUILD)/kishu.stamp
	$(BIN)/python -m benchmarks.state --kishu $(BUILD)/kishu/bin/python $(ARGS)

# It wants much that nothing else here needs, old packages among it; where it cannot be had, the table says so.
$(BUILD)/kishu.stamp: | $(VENV)/made.stamp
	@echo 'Making the environment $(BUILD)/kishu …'
	@mkdir -p $(BUILD)
	@$(BIN)/python -m venv $(BUILD)/kishu
	@$(BUILD)/kishu/bin/python -m pip --quiet --disable-pip-version-check install kishu==0.3.4 \
		|| rm -rf $(BUILD)/kishu
	@touch $@

performance: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks --output $(BUILD) --update-docs
	$(BIN)/python -m benchmarks.workspace --update-docs
	$(BIN)/python -m benchmarks.timeline
	$(BIN)/python -m benchmarks.hops --update-docs
	$(BIN)/python -m benchmarks.shares --update-docs
	$(BIN)/python -m benchmarks.many --update-docs
	$(BIN)/python -m benchmarks.first_cell --update-docs

# In a real JupyterLab. Wants Debian's chromium, or another; without one they are skipped.
browser: $(VENV)/test.stamp $(VENV)/browser.stamp
	$(BIN)/python -m pytest -m browser --numprocesses 2 --dist loadfile tests/browser $(ARGS)

# What the tests need that run the kernel under JupyterHub and in another language; without it they are skipped.
places: $(VENV)/places.stamp

hub: $(VENV)/places.stamp $(VENV)/test.stamp
	$(BIN)/python -m pytest -m hub tests/places $(ARGS)

# Some of them exclude others, and some would change what the other tests run in.
TOOLS := executors nbmodel documents

tools: $(VENV)/test.stamp $(VENV)/browser.stamp $(TOOLS:%=$(BUILD)/tools/%.stamp)
	$(BIN)/python -m pytest -m tools --numprocesses 2 --dist loadfile tests/places tests/browser $(ARGS)

$(BUILD)/tools/%.stamp: pyproject.toml | $(VENV)/made.stamp
	@echo 'Making the environment $(BUILD)/tools/$* …'
	@mkdir -p $(BUILD)/tools
	@$(BIN)/python -m venv $(BUILD)/tools/$*
	@$(BUILD)/tools/$*/bin/python -m pip --quiet --disable-pip-version-check install --editable '.[$*]'
	@touch $@

clients: $(VENV)/clients.stamp
	$(BIN)/python -m pytest tests/clients $(ARGS)

public: $(VENV)/public.stamp
	$(BIN)/python -m pytest -m public tests/public $(ARGS)

lint: $(VENV)/lint.stamp
	$(BIN)/ruff check
	# Files are UTF-8, also where the system's own encoding is another.
	$(BIN)/ruff check --preview --select PLW1514 remote_kernel
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy --platform darwin --cache-dir .mypy_cache/darwin remote_kernel
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32 remote_kernel --exclude '$(UNIX_ONLY)'

windows: $(VENV)/test.stamp
	PYTHONPATH=tests/as_on_windows $(BIN)/python -m pytest --unit --numprocesses 2 --dist loadfile $(ARGS)

# Against a local pool beside it; and what the workflow on GitHub runs on Windows.
wine: $(VENV)/test.stamp
	$(BIN)/python -m tests.wine
	$(BIN)/python -m pytest -m wine tests/places/test_wine.py
	$(BIN)/python -m tests.wine -m pytest -p no:cacheprovider $(or $(ARGS),-m slow tests/places/test_front_door.py)

clean:
	rm -rf $(VENV) $(BUILD) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

# A stamp names the extra that it stands for.
$(VENV)/%.stamp: pyproject.toml $(wildcard kernelspec/*) | $(VENV)/made.stamp
	@echo 'Installing what "make $*" needs into $(VENV) …'
	@$(PIP) install --editable '.[$*]'
	@touch $@

$(VENV)/made.stamp:
	@$(or $(PYTHON),false) -c '$(IS_NEW_ENOUGH)' 2>/dev/null || { \
		echo 'This needs Python 3.11 or newer, and $(or $(PYTHON),python3) is not: name one with "make PYTHON=…".' >&2; \
		exit 1; }
	@echo 'Making an environment in $(VENV) with $(PYTHON) …'
	@$(PYTHON) -m venv $(VENV)
	@touch $@
