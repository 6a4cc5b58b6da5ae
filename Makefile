# SPDX-License-Identifier: GPL-2.0-only
#
# The jobs of this suite. `make help` lists them.

KERNEL  ?= debian:newest
DRIVERS ?=
FLAVOUR ?= default
JOBS    ?= auto
RUNS    ?= 20
PYTEST  ?=

# make itself ends with status 2 when a recipe fails, whatever the recipe's status. With -q it
# hands on a status of 1, which is what "something deviates" is; a recipe that begins with + is
# carried out all the same. Sub-makes (kernel builds) must not inherit this: env -u. Other goals
# would not be made under -q: this is for `make check` alone.
ifeq ($(MAKECMDGOALS),check)
MAKEFLAGS += -q
endif

run = env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL
python = .venv/bin/python

empty :=
comma := ,
drivers = $(if $(strip $(DRIVERS)),--driver=$(subst $(empty) $(empty),$(comma),$(strip $(DRIVERS))))

.PHONY: help setup check soak clauses test test-long lint bench clean

help: ## list the targets and their variables
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "Variables:"
	@echo "  KERNEL   the kernel under test: a kernel tree, TREE@REF, a build folder,"
	@echo "           debian:VERSION ($(KERNEL))"
	@echo "  DRIVERS  the drivers to test, separated by blanks or commas (all)"
	@echo "  FLAVOUR  how the kernel is built: default, debug (KASAN, lockdep, kmemleak ...), fault"
	@echo "  JOBS     machines that run the tests at the same time; each keeps a core busy (auto: as"
	@echo "           many as the cores and the memory bear)"
	@echo "  RUNS     how often \`make soak' runs the suites ($(RUNS))"
	@echo "  PYTEST   more options for pytest, for instance PYTEST='-k flags -x'"
	@echo "  PYTHON   the Python that .venv is made with (python3)"
	@echo "Environment:"
	@echo "  DEBIAN_MIRROR   the Debian archive (the one of the system's apt sources)"
	@echo "  XDG_CACHE_HOME  where kernels and the guest's root are kept (~/.cache)"
	@echo
	@echo "make check ends with 0: nothing deviates that is not expected; 1: something does;"
	@echo "2: the run could not be made."

setup: ## install packages and the virtual environment, where they are missing
	@./setup.sh

check: ## hold the drivers of KERNEL to the protocol; KERNEL=, DRIVERS=, PYTEST=
	+@$(run) ./setup.sh
	+@$(run) $(python) -m pytest suites -n $(JOBS) --kernel='$(KERNEL)' \
		--flavour='$(FLAVOUR)' $(drivers) $(PYTEST)

soak: ## run the suites RUNS times and print where the runs disagree; KERNEL=, DRIVERS=, PYTEST=
	@./setup.sh
	@$(run) $(python) -m workflows.soak '$(RUNS)' -n $(JOBS) --kernel='$(KERNEL)' \
		--flavour='$(FLAVOUR)' $(drivers) $(PYTEST)

clauses: ## print every rule, its source and its tests; fail where a rule has none
	@$(run) ./setup.sh
	@$(run) $(python) -m workflows.clauses

test: ## pass the project's own tests: unit tests, and real kernels in VMs; PYTEST=
	@./setup.sh
	@$(run) $(python) -m pytest tests --results=results/tests -m 'not long' $(PYTEST)

test-long: ## the same, those that take more than ten minutes; PYTEST=
	@./setup.sh
	@$(run) $(python) -m pytest tests --results=results/tests -m long $(PYTEST)

lint: ## check the code's form: ruff, mypy
	@./setup.sh
	@$(python) -m ruff check .
	@$(python) -m ruff format --check .
	@$(python) -m mypy

bench: ## measure the steps of a run; writes results/bench.yaml; KERNEL=
	@./setup.sh
	@$(run) $(python) -m workflows.bench '$(KERNEL)'

clean: ## remove the virtual environment and the results (the cache stays)
	rm -rf .venv .setup.lock results
