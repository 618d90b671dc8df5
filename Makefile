# make test        each promise once, and the linter; TESTS=tests/unit for some,
#                  JOBS=0 for one at a time
# make check       all tests, and the linter
# make demo        three deploys under load, and a restart side by side with supervisorctl's
# make tox         the tests on every Python from 3.8 that is there, with old and new Supervisors;
#                  TOX='-e py38-supervisor425' for some
# make supervisor-tests   Supervisor's own tests, with the plugin imported and its commands on
# make deploy-tools       the plugin under Ansible's and Salt's modules for supervisorctl, which have an
#                  environment of their own
# make recipes     the programs of docs/recipes.md, restarted; as root it installs Debian's packages
# make lint        the linter alone
# make dist        sdist and wheel, in dist/
# make benchmark   the comparison with what else there is, and its pictures, in build/benchmarks;
#                  RESULTS=benchmarks/results PICTURES=docs to replace those that are shown
#                  BENCHMARK='--parts floor requests' for some of it
# make benchmark-python    only its environment: prints the Python that has all contenders
# make chaos       random faults against a real supervisord; SECONDS=60 SEED=any
#                  (give SECONDS after `make`: as a variable before it, bash counts with it)
# make clean       remove what the others made
#
# Each builds what it needs in a private environment under .venv, with the Python that PYTHON names.

PYTHON ?= python3
SECONDS = 60
SEED =
TESTS = tests
# The tests wait much more than they calculate.
JOBS = 6
TOX =
# Debian's Python, where there is one: the programs run as other users, who may not get to another.
RECIPES_PYTHON = $(firstword $(wildcard /usr/bin/python3) $(PYTHON))
RECIPES := .venv/recipes
BENCHMARK =
RESULTS = build/benchmarks
PICTURES = $(RESULTS)

VENV := .venv/$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
BIN := $(VENV)/bin
# pyenv's pythonX.Y stand only for the versions that PYENV_VERSION names: here, every one from 3.8.
PYENV_VERSIONS = pyenv versions --bare --skip-aliases | \
    grep -E '^3\.([89]|[1-9][0-9])\.[0-9]+$$' | sort -V | paste -s -d : -
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# A path, and no module that looks for the package: each Python of a test starts in half the time.
EDITABLE := --config-settings editable_mode=compat --editable

.PHONY: test check supervisor-tests deploy-tools recipes lint demo tox dist benchmark \
    benchmark-python chaos clean

test: $(VENV)/test lint
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal \
	    -m 'not stress and not recipes' $(TESTS)

check: $(VENV)/test lint
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal -m 'not recipes' $(TESTS)

# Without the plugins of pytest that our tests need: hypothesis, xdist.
supervisor-tests: $(VENV)/test
	PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 $(BIN)/python -m pytest -p tests.programs.whole_plugin \
	    -p tests.programs.commands_taken_over --pyargs supervisor.tests

deploy-tools: $(VENV)/test $(VENV)-deploy-tools/ready
	DEPLOY_TOOLS=$(CURDIR)/$(VENV)-deploy-tools/bin $(BIN)/python -m pytest \
	    tests/integration/test_deploy_tools.py

recipes: $(VENV)/test $(RECIPES)/ready
	tests/recipes/packages.sh
	RECIPES=$(CURDIR)/$(RECIPES)/bin $(BIN)/python -m pytest -rs --numprocesses 2 --dist loadgroup \
	    -m recipes tests/recipes

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(if $(wildcard .git),$(BIN)/check-manifest --no-build-isolation)

demo: $(VENV)/plugin
	$(BIN)/python examples/demo.py

tox: $(VENV)/tox
	if command -v pyenv >/dev/null; then PYENV_VERSION=$$($(PYENV_VERSIONS)); \
	    export PYENV_VERSION; fi; $(BIN)/tox $(TOX)

dist: $(VENV)/test
	rm -rf build dist
	$(BIN)/python -m build --outdir dist >/dev/null
	$(BIN)/twine check --strict dist/*

benchmark: $(VENV)-benchmark/ready
	$(VENV)-benchmark/bin/python -m benchmarks --results $(RESULTS) $(BENCHMARK)
	$(VENV)-benchmark/bin/python -m benchmarks.pictures --results $(RESULTS) --folder $(PICTURES)

benchmark-python: $(VENV)-benchmark/ready
	@echo $(VENV)-benchmark/bin/python

chaos: $(VENV)/test
	$(BIN)/python -m tests.chaos --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

clean:
	rm -rf .venv .tox .pytest_cache .ruff_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +

# One environment for each Python; a file in it for each set of packages that it has.

$(VENV)/plugin: setup.py pyproject.toml
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) $(EDITABLE) .
	touch $@

$(VENV)/test: $(VENV)/plugin
	$(INSTALL) $(EDITABLE) '.[test,lint,fleet]'
	touch $@

# Installed as users have it: an editable one makes every command start later.
$(VENV)-benchmark/ready: setup.py pyproject.toml $(wildcard supervisor_restarter/*.py supervisor_restarter/page.* supervisor_restarter/*/*.py)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check '.[benchmark]'
	touch $@

# Ansible with its collections, and Salt: large, and nothing that the plugin needs.
$(VENV)-deploy-tools/ready:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check ansible salt
	touch $@

# pip comes from another environment: Debian's Python has it in a package of its own.
$(RECIPES)/ready: $(VENV)/test
	$(RECIPES_PYTHON) -m venv --without-pip $(@D)
	$(BIN)/python -m pip --python $(@D)/bin/python install --quiet --disable-pip-version-check \
	    gunicorn uvicorn celery rq
	touch $@

$(VENV)/tox: $(VENV)/plugin
	$(INSTALL) tox 'virtualenv<20.36'
	touch $@
