# SPDX-License-Identifier: GPL-2.0-only
#
# The jobs of this suite. `make help` lists them.

jobs = check vmm premerge matrix compat bisect bisect-step baseline history shell selftests \
	coverage
targets = $(jobs) help setup soak streams mutants worker patchwork-check report clauses unit test test-long lint bench \
	cache prune clean
goals := $(MAKECMDGOALS)

include variables.mk

# Compiled Python is kept with the environment, also where PYTHONDONTWRITEBYTECODE forbids to write
# beside the sources: to compile anew, and rewrite the asserts, takes seconds in each process.
export PYTHONPYCACHEPREFIX ?= $(CURDIR)/.venv/bytecode
unexport PYTHONDONTWRITEBYTECODE
run = env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL
python = .venv/bin/python
ready = $(run) ./setup.sh
# The virtual environment alone: for what needs no kernel.
python_ready = $(ready) --python
# What only some jobs need; without them the tests of these are skipped.
extras = $(python) -m pip install -q --disable-pip-version-check -r requirements-mail.txt \
	-r requirements-mutants.txt
# Before the first run of a host: what that takes. By the system's Python, if it can.
built = "$${XDG_CACHE_HOME:-$$HOME/.cache}/vfio-conformance/kernels"
ready_for = { [ -d $(built) ] || python3 -m workflows.outlook --kernel="$1" 2>/dev/null || :; }; \
	$(ready)

# What is run, once or in each step of a longer job, and what a job looks at.
step = --drivers="$$DRIVERS $$DRIVER" --suites="$$SUITES" --flavour="$$FLAVOUR" \
	--vmms="$$VMMS" --fail-on="$$FAIL_ON" --jobs="$$JOBS" --pytest="$$PYTEST"
machine = --memory="$$MEMORY" --cpus="$$CPUS" --qemu-options="$$QEMU_OPTIONS" \
	--kernel-options="$$KERNEL_OPTIONS" --gdb="$$GDB"
about = --behaviour="$$BEHAVIOUR" --clause="$$CLAUSE" --tests="$$TESTS"

# make itself ends with status 2 when a recipe fails, whatever the recipe's status. With -q it
# hands on a status of 1, which is what "something deviates" is; a recipe that begins with + is
# carried out all the same, but not where make was asked to only print it (-n), or whether there is
# something to do (-q). Sub-makes (kernel builds) must not inherit this: env -u.
flags := $(filter-out --%,$(firstword -$(MAKEFLAGS)))
flag = $(findstring $1,$(flags))
really :=
several :=
ifneq ($(filter $(jobs),$(goals)),)
ifneq ($(call flag,i)$(call flag,t),)
$(error with -i or -t make ends with 0, whatever becomes of $(filter $(jobs),$(goals)); leave it out)
endif
ifeq ($(call flag,n)$(call flag,q),)
really := +
several := $(word 2,$(goals))
override MAKEFLAGS += -q
endif
endif

# Processes for unit tests, which wait half of their time: two for a core, and not more than twelve.
twice = $$((2 * $$(nproc) > 12 ? 12 : 2 * $$(nproc)))

# All tests of a folder, unless PYTEST names some.
but_for = $$(case " $$PYTEST" in *" tests/"*) ;; *) echo $1 ;; esac)

.PHONY: $(targets)

ifneq ($(several),)
# With -q no goal is made after one that ended with 1. So the first one's recipe makes them all, each
# by a make of its own. What deviates (1) does not keep the next one, such as report, from being made.
unknown := $(firstword $(filter-out $(targets),$(goals)))
ifneq ($(unknown),)
$(error No rule to make target '$(unknown)')
endif
$(firstword $(goals)):
	+@worst=0; for goal in $(goals); do \
		env -u MAKEFLAGS -u MFLAGS $(MAKE) --no-print-directory announced=1 $$goal; status=$$?; \
		[ $$status -le $$worst ] || worst=$$status; \
		[ $$status -lt 2 ] $(if $(call flag,k),|| true,|| break); \
	done; exit $$worst
$(filter-out $(firstword $(goals)),$(goals)): $(firstword $(goals)) ;
else

help: ## list the targets and their variables
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "Variables:"
	@echo "  KERNEL   the kernel under test: a kernel tree, TREE@REF, a build folder,"
	@echo "           debian:VERSION ($(default.KERNEL))"
	@echo "  DRIVERS  the drivers to test, separated by blanks or commas (all)"
	@echo "  FLAVOUR  how the kernel is built: default, debug (KASAN, lockdep, kmemleak ...), fault,"
	@echo "           coverage"
	@echo "  SUITES   folders of suites/ to run, for instance precopy_info (all)"
	@echo "  VMMS     the VMMs of suites/vmm, or all, for all of its tests (one VMM, and few of them)"
	@echo "  CLAUSE   run only what checks this clause; BEHAVIOUR, what records this behaviour;"
	@echo "  TESTS    the tests that pytest -k chooses. In a bisect: what is looked at"
	@echo "  FAIL_ON  must: a new deviation from a SHOULD does not fail the run; should: any does"
	@echo "           ($(default.FAIL_ON))"
	@echo "  JOBS     machines that run the tests at the same time; each keeps a core busy (auto: as"
	@echo "           many as the cores and the memory bear)"
	@echo "  MEMORY   of each machine in MiB (512); CPUS, its processors (1); QEMU_OPTIONS and"
	@echo "           KERNEL_OPTIONS, more options for QEMU and for the guest's kernel"
	@echo "  GDB      1: let gdb attach; SHELL_ON_FAILURE, 1: a shell where a test fails (check)"
	@echo "  DUMP     1: keep the memory of a guest whose kernel dies, for drgn and crash (check)"
	@echo "  RUNS     how often \`make soak' runs the suites ($(default.RUNS))"
	@echo "  N        how many mutants, at random (all); SEED, what decides which ($(default.SEED));"
	@echo "  MUTANT   the keys of mutants, in place of a sample (mutants)"
	@echo "  RESULTS  the folder of a run ($(default.RESULTS))"
	@echo "  FORMATS  of a report, separated by blanks or commas (all files); FORMATS=help lists them"
	@echo "  PYTEST   more options for pytest, for instance PYTEST='-k flags -x'"
	@echo "  PYTHON   the Python that .venv is made with (python3)"
	@echo "  BASELINE the results of an earlier run: make baseline writes them, make check compares"
	@echo "Of the longer jobs (docs/jobs.md):"
	@echo "  TREE     a git repository of the kernel; nothing in it is touched"
	@echo "  BASE     the commit that a series is for (its base-commit); SERIES, a mailbox, maildir,"
	@echo "           message-id, lore URL or range BASE..TIP; VERSION, which one of it (the newest);"
	@echo "  EXPECT   a file that says what the series is meant to change"
	@echo "  CLUSTER  who makes the steps of premerge, matrix and bisect: local:N, N at a time here;"
	@echo "           ssh:FILE, the hosts that it names; tcp://HEAD:PORT, workers of a Dask scheduler"
	@echo "  KERNELS  the kernels of a matrix or of compat, separated by blanks, each as KERNEL"
	@echo "  GOOD     BAD: commits of before and after a change (bisect); GOOD: what a good kernel"
	@echo "           does, in a word (bisect-step)"
	@echo "  DRIVER   as DRIVERS: whose behaviour or clause is looked at"
	@echo "  CMD      a command to run in the guest, in place of a shell (shell)"
	@echo "  AGAINST  a commit of this project, whose make check is timed in turn with this one"
	@echo "Of make patchwork-check (its token is in the environment: PATCHWORK_TOKEN):"
	@echo "  SERVER   the server's URL; SERIES_ID, the number that it has for the series"
	@echo "Of make cache:"
	@echo "  PRUNE    what to remove: kinds of the table, or all (not the runs), separated by blanks;"
	@echo "           nothing in use is removed"
	@echo "  KEEP     how many of each to keep, the most recently used (0; runs need a number)"
	@echo "Of make prune (what unfinished jobs need stays):"
	@echo "  KEEP_DAYS  remove what was last used more days ago"
	@echo "  KEEP_GB    then the least recently used, until the results, and the cache, have at most"
	@echo "             so many gigabytes"
	@echo "  PRUNE      results, cache, or kinds of the table of make cache (results and cache)"
	@echo "They may be set in the environment, too; make prints those that are. Environment:"
	@echo "  DEBIAN_MIRROR   the Debian archive (that of the system's apt sources, else Debian's own)"
	@echo "  XDG_CACHE_HOME  where kernels and the guest's root are kept (~/.cache)"
	@echo "  LLVM, KCFLAGS   and others that reach the kernel's build (README.md, \"Which kernel\")"
	@echo
	@echo "make check ends with 0: no new deviation; 1: a new deviation; 2: the run could not be made."
	@echo "make premerge: 0, 1 if a patch makes something worse, 2 if that could not be judged."
	@echo "README.md has all exit statuses."

setup: ## install missing packages, and the virtual environment
	@./setup.sh

check: ## test the drivers of KERNEL against the protocol; KERNEL=, DRIVERS=, SUITES=, CLAUSE=
	$(really)@$(call ready_for,$$KERNEL) || exit 2
	$(really)@$(run) $(python) -m workflows.check --kernel="$$KERNEL" --baseline="$$BASELINE" \
		--shell-on-failure="$$SHELL_ON_FAILURE" --dump="$$DUMP" $(about) $(step) $(machine)

vmm: ## migrate the drivers' devices by VMMs in the guest; KERNEL=, DRIVERS=, VMMS=
	$(really)@$(call ready_for,$$KERNEL) || exit 2
	$(really)@$(run) $(python) -m workflows.check --kernel="$$KERNEL" --baseline="$$BASELINE" \
		--shell-on-failure="$$SHELL_ON_FAILURE" --dump="$$DUMP" $(about) $(step) $(machine) \
		--suites=vmm --vmms="$${VMMS:-all}"

premerge: ## judge a series, patch by patch; TREE=, SERIES=, BASE=, VERSION=, EXPECT=
	$(really)@$(call ready_for,$$TREE) || exit 2
	$(really)@$(run) $(python) -m workflows.premerge --tree="$$TREE" --base="$$BASE" \
		--series="$$SERIES" --version="$$VERSION" --expect="$$EXPECT" --cluster="$$CLUSTER" $(step)

matrix: ## run the suites on several kernels and compare them; KERNELS=, DRIVERS=
	$(really)@$(call ready_for,$$KERNELS) || exit 2
	$(really)@$(run) $(python) -m workflows.matrix "$$KERNELS" --cluster="$$CLUSTER" $(step)

compat: ## load what each kernel's drivers saved on each kernel; KERNELS=, DRIVERS=
	$(really)@$(call ready_for,$$KERNELS) || exit 2
	$(really)@$(run) $(python) -m workflows.compat "$$KERNELS" --flavour="$$FLAVOUR" \
		--drivers="$$DRIVERS $$DRIVER" $(machine)

bisect: ## find the commit that changed a behaviour; TREE=, GOOD=, BAD=, DRIVER=, BEHAVIOUR=
	$(really)@$(call ready_for,$$TREE) || exit 2
	$(really)@$(run) $(python) -m workflows.bisect --tree="$$TREE" --good="$$GOOD" --bad="$$BAD" \
		--cluster="$$CLUSTER" $(about) $(step)

bisect-step: ## judge one kernel, for your own git bisect; TREE=, GOOD=, DRIVER=, BEHAVIOUR=
	$(really)@$(call ready_for,$$TREE) || exit 2
	$(really)@$(run) $(python) -m workflows.bisect_step --tree="$$TREE" --good="$$GOOD" \
		$(about) $(step) || case $$? in 3) exit 1;; *) exit 2;; esac

baseline: ## record what a kernel does, for make check BASELINE=FILE; KERNEL=, BASELINE=
	$(really)@$(call ready_for,$$KERNEL) || exit 2
	$(really)@$(run) $(python) -m workflows.baseline "$$BASELINE" --kernel="$$KERNEL" $(about) $(step) \
		$(machine)

history: ## print the behaviours of a driver in all runs; DRIVER=, BEHAVIOUR= or CLAUSE=
	$(really)@$(ready) || exit 2
	$(really)@$(run) $(python) -m workflows.history --drivers="$$DRIVERS $$DRIVER" \
		--behaviour="$$BEHAVIOUR" --clause="$$CLAUSE"

shell: ## open a shell in the guest, with a device of each driver; KERNEL=, DRIVERS=, CMD=
	$(really)@$(call ready_for,$$KERNEL) || exit 2
	$(really)@$(run) $(python) -m workflows.shell --kernel="$$KERNEL" --flavour="$$FLAVOUR" \
		--drivers="$$DRIVERS $$DRIVER" --cmd="$$CMD" $(machine); status=$$?; \
		[ $$status -le 2 ] || { echo "the command ended with $$status" >&2; exit 2; }; exit $$status

selftests: ## run the kernel's own VFIO selftests on a function of each driver; KERNEL=, DRIVERS=
	$(really)@$(call ready_for,$$KERNEL) packages-selftests.txt || exit 2
	$(really)@$(run) $(python) -m workflows.selftests --kernel="$$KERNEL" --flavour="$$FLAVOUR" \
		--drivers="$$DRIVERS $$DRIVER" $(machine)

soak: ## run the suites RUNS times and print where the runs disagree; KERNEL=, DRIVERS=, PYTEST=
	@$(call ready_for,$$KERNEL)
	@$(run) $(python) -m workflows.soak "$$RUNS" --kernel="$$KERNEL" $(about) $(step) $(machine)

mutants: ## break a driver in many ways, and count what the suites see; KERNEL=, DRIVER=, N=, SEED=
	@$(call ready_for,$$KERNEL)
	@$(run) $(python) -m workflows.mutants --kernel="$$KERNEL" --flavour="$$FLAVOUR" \
		--drivers="$$DRIVERS $$DRIVER" --number="$$N" --seed="$$SEED" --mutants="$$MUTANT"

coverage: ## show which code of the drivers the suites run; KERNEL=, DRIVERS=, SUITES=
	$(really)@$(call ready_for,$$KERNEL) || exit 2
	$(really)@$(run) $(python) -m workflows.coverage --kernel="$$KERNEL" $(about) $(step) $(machine)

streams: ## keep the streams that the drivers of KERNEL save, for the tests of others; KERNEL=
	@$(call ready_for,$$KERNEL)
	@$(run) $(python) -m workflows.streams --kernel="$$KERNEL" --flavour="$$FLAVOUR" \
		--drivers="$$DRIVERS $$DRIVER" $(machine)

report: ## write reports of a run: a page, for CI systems, for KernelCI; RESULTS=, FORMATS=
	@$(ready)
	@$(run) $(python) -m reports "$$RESULTS" "$$FORMATS"

worker: ## make steps for jobs of other hosts, until Ctrl-C; CLUSTER=tcp://HEAD:PORT
	@$(ready) || exit 2
	@$(run) $(python) -m workflows.cluster.worker "$$CLUSTER"

patchwork-check: ## tell a patchwork server what pre-merge said of each patch; SERIES_ID=, SERVER=
	@$(python_ready)
	@$(run) $(python) -m workflows.patchwork_check --series-id="$$SERIES_ID" --server="$$SERVER"

clauses: ## print every rule, its source and its tests; fail where a rule has none
	@$(ready)
	@$(run) $(python) -m workflows.clauses

unit: ## run the unit tests, which need no kernel, VM or Debian package; PYTEST=
	@$(python_ready)
	@eval "$(run) $(python) -m pytest $(call but_for,tests/unit) -n $(twice) --dist loadgroup $$PYTEST"

test: ## run the project's own tests: unit tests, and real kernels in VMs; PYTEST=
	@$(call ready_for,debian:newest) packages-test.txt
	@$(extras) || echo "note: the tests of what is missing are skipped" >&2
	@eval "$(run) $(python) -m pytest $(call but_for,tests) --results=results/tests -m 'not long' \
		-n auto --dist loadgroup $$PYTEST"

test-long: ## run the tests that take more than ten minutes; PYTEST=
	@$(call ready_for,debian:newest) packages-test.txt packages-selftests.txt
	@$(extras) -r requirements-cluster.txt -r requirements-coverage.txt || echo "note: the tests of what is missing are skipped" >&2
	@eval "$(run) $(python) -m pytest $(call but_for,tests) --results=results/tests -m long $$PYTEST"

lint: ## check the code's form: ruff, mypy; shellcheck and checkpatch, if they are there
	@$(python_ready)
	@$(python) -m ruff check .
	@$(python) -m ruff format --check .
	@$(python) -m mypy
	@$(run) $(python) -m workflows.lint

bench: ## measure the steps of a run, or whole runs against another commit's; KERNEL=, AGAINST=
	@$(call ready_for,$$KERNEL)
	@$(run) $(python) -m workflows.bench "$$KERNEL" --against="$$AGAINST"

cache: ## show what is kept and how much room it takes, or remove it; PRUNE=, KEEP=
	@$(ready)
	@$(run) $(python) -m workflows.cache --prune="$$PRUNE" --keep="$$KEEP"

prune: ## remove old results and cached files; KEEP_DAYS=, KEEP_GB=, PRUNE=
	@$(python_ready)
	@$(run) $(python) -m workflows.prune --keep-days="$$KEEP_DAYS" --keep-gb="$$KEEP_GB" \
		--prune="$$PRUNE"

clean: ## remove the virtual environment and the results (the cache stays)
	rm -rf .venv .setup.lock results

endif
