# SPDX-License-Identifier: GPL-2.0-only
#
# The jobs of this suite. `make help` lists them.

KERNEL  ?= debian:newest
DRIVERS ?=
FLAVOUR ?= default
JOBS    ?= auto
RUNS    ?= 20
RESULTS ?= results/latest
FORMATS ?=
SUITES  ?=
PYTEST  ?=

TREE      ?=
BASE      ?=
SERIES    ?=
EXPECT    ?=
KERNELS   ?=
GOOD      ?=
BAD       ?=
DRIVER    ?=
BEHAVIOUR ?=
CLAUSE    ?=
TESTS     ?=
BASELINE  ?=

PRUNE ?=
KEEP  ?=

# make itself ends with status 2 when a recipe fails, whatever the recipe's status. With -q it
# hands on a status of 1, which is what "something deviates" is; a recipe that begins with + is
# carried out all the same, but not where make was asked to only print it (-n). Sub-makes (kernel
# builds) must not inherit this: env -u. Other goals would not be made under -q: this is for the
# jobs, one at a time.
jobs = check premerge matrix bisect bisect-step baseline history
dry := $(findstring n,$(filter-out --%,$(firstword -$(MAKEFLAGS))))
really = $(if $(dry),,+)
ifneq ($(filter $(jobs),$(MAKECMDGOALS)),)
ifeq ($(dry),)
MAKEFLAGS += -q
endif
endif

run = env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL
python = .venv/bin/python

empty :=
comma := ,
suites = $(if $(strip $(SUITES)),$(addprefix suites/,$(subst $(comma), ,$(SUITES))),suites)
named = $(strip $(DRIVERS) $(DRIVER))
drivers = $(if $(named),--driver=$(subst $(empty) $(empty),$(comma),$(named)))

# What the longer jobs run in each of their steps, and what they look at.
step = --drivers='$(named)' --suites='$(SUITES)' --flavour='$(FLAVOUR)' \
	--jobs='$(JOBS)' --pytest="$$PYTEST"
subject = --behaviour='$(BEHAVIOUR)' --clause='$(CLAUSE)' --tests="$$TESTS"
# Not written into the commands: what is for pytest may hold quotes of its own.
export PYTEST TESTS

.PHONY: help setup check premerge matrix bisect bisect-step baseline history soak report clauses
.PHONY: test test-long lint bench cache clean

help: ## list the targets and their variables
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "Variables:"
	@echo "  KERNEL   the kernel under test: a kernel tree, TREE@REF, a build folder,"
	@echo "           debian:VERSION ($(KERNEL))"
	@echo "  DRIVERS  the drivers to test, separated by blanks or commas (all)"
	@echo "  FLAVOUR  how the kernel is built: default, debug (KASAN, lockdep, kmemleak ...), fault"
	@echo "  SUITES   folders of suites/ to run, for instance precopy_info (all)"
	@echo "  JOBS     machines that run the tests at the same time; each keeps a core busy (auto: as"
	@echo "           many as the cores and the memory bear)"
	@echo "  RUNS     how often \`make soak' runs the suites ($(RUNS))"
	@echo "  RESULTS  the folder of a run ($(RESULTS))"
	@echo "  FORMATS  html, junit, ktap, kcidb, table, separated by blanks (all but table)"
	@echo "  PYTEST   more options for pytest, for instance PYTEST='-k flags -x'"
	@echo "  PYTHON   the Python that .venv is made with (python3)"
	@echo "  BASELINE the results of an earlier run: make baseline writes them, make check compares"
	@echo "Of the longer jobs (docs/jobs.md):"
	@echo "  TREE     a git repository of the kernel; nothing in it is touched"
	@echo "  BASE     the commit that a series is for; SERIES, a mailbox or a range BASE..TIP;"
	@echo "  EXPECT   a file that says what the series is meant to change"
	@echo "  KERNELS  the kernels of a matrix, separated by blanks, each as KERNEL"
	@echo "  GOOD     BAD: commits of before and after a change (bisect); GOOD: what a good kernel"
	@echo "           does, in a word (bisect-step)"
	@echo "  DRIVER   BEHAVIOUR, CLAUSE or TESTS (for pytest -k): what is looked at"
	@echo "Of make cache:"
	@echo "  PRUNE    what to remove: kinds of the table, or all (not the runs), separated by blanks;"
	@echo "           nothing in use is removed"
	@echo "  KEEP     how many of each to keep, the most recently used (0; runs need a number)"
	@echo "Environment:"
	@echo "  DEBIAN_MIRROR   the Debian archive (that of the system's apt sources, else Debian's own)"
	@echo "  XDG_CACHE_HOME  where kernels and the guest's root are kept (~/.cache)"
	@echo
	@echo "make check ends with 0: nothing deviates that is not expected; 1: something does;"
	@echo "2: the run could not be made. make premerge: 0, 1 where something changed for the worse,"
	@echo "2 where that could not be judged."

setup: ## install packages and the virtual environment, where they are missing
	@./setup.sh

check: ## hold the drivers of KERNEL to the protocol; KERNEL=, DRIVERS=, PYTEST=
	$(really)@$(run) ./setup.sh
	$(really)@$(run) $(python) -m pytest $(suites) -n $(JOBS) --kernel='$(KERNEL)' \
		--flavour='$(FLAVOUR)' $(drivers) $(if $(BASELINE),--baseline='$(BASELINE)') $(PYTEST)

premerge: ## judge a series, patch by patch; TREE=, BASE=, SERIES=, EXPECT=
	$(really)@$(run) ./setup.sh
	$(really)@$(run) $(python) -m workflows.premerge --tree='$(TREE)' --base='$(BASE)' \
		--series='$(SERIES)' --expect='$(EXPECT)' $(step)

matrix: ## run the suites on several kernels and compare them; KERNELS=, DRIVERS=
	$(really)@$(run) ./setup.sh
	$(really)@$(run) $(python) -m workflows.matrix '$(KERNELS)' $(step)

bisect: ## find the commit that changed a behaviour; TREE=, GOOD=, BAD=, DRIVER=, BEHAVIOUR=
	$(really)@$(run) ./setup.sh
	$(really)@$(run) $(python) -m workflows.bisect --tree='$(TREE)' --good='$(GOOD)' --bad='$(BAD)' \
		$(subject) $(step)

bisect-step: ## judge one kernel, for your own git bisect; TREE=, GOOD=, DRIVER=, BEHAVIOUR=
	$(really)@$(run) ./setup.sh
	$(really)@$(run) $(python) -m workflows.bisect_step --tree='$(TREE)' --good='$(GOOD)' \
		$(subject) $(step) || case $$? in 3) exit 1;; *) exit 2;; esac

baseline: ## record what a kernel does, for make check BASELINE=FILE; KERNEL=, BASELINE=
	$(really)@$(run) ./setup.sh
	$(really)@$(run) $(python) -m workflows.baseline '$(BASELINE)' $(suites) -n $(JOBS) --kernel='$(KERNEL)' \
		--flavour='$(FLAVOUR)' $(drivers) $(PYTEST)

history: ## print what a driver was seen to do in all runs; DRIVER=, BEHAVIOUR= or CLAUSE=
	$(really)@$(run) ./setup.sh
	$(really)@$(run) $(python) -m workflows.history --drivers='$(named)' $(subject)

soak: ## run the suites RUNS times and print where the runs disagree; KERNEL=, DRIVERS=, PYTEST=
	@./setup.sh
	@$(run) $(python) -m workflows.soak '$(RUNS)' -n $(JOBS) --kernel='$(KERNEL)' \
		--flavour='$(FLAVOUR)' $(drivers) $(PYTEST)

report: ## show a run to a browser, a CI system or KernelCI; RESULTS=, FORMATS=
	@./setup.sh
	@$(run) $(python) -m reports '$(RESULTS)' $(FORMATS)

clauses: ## print every rule, its source and its tests; fail where a rule has none
	@$(run) ./setup.sh
	@$(run) $(python) -m workflows.clauses

test: ## pass the project's own tests: unit tests, and real kernels in VMs; PYTEST=
	@./setup.sh packages-test.txt
	@$(run) $(python) -m pytest tests --results=results/tests -m 'not long' $(PYTEST)

test-long: ## the same, those that take more than ten minutes; PYTEST=
	@./setup.sh packages-test.txt
	@$(run) $(python) -m pytest tests --results=results/tests -m long $(PYTEST)

lint: ## check the code's form: ruff, mypy
	@./setup.sh
	@$(python) -m ruff check .
	@$(python) -m ruff format --check .
	@$(python) -m mypy

bench: ## measure the steps of a run; writes results/bench.yaml; KERNEL=
	@./setup.sh
	@$(run) $(python) -m workflows.bench '$(KERNEL)'

cache: ## show what is kept and how much room it takes, or remove it; PRUNE=, KEEP=
	@$(run) ./setup.sh
	@$(run) $(python) -m workflows.cache --prune='$(PRUNE)' --keep='$(KEEP)'

clean: ## remove the virtual environment and the results (the cache stays)
	rm -rf .venv .setup.lock results
