# SPDX-License-Identifier: GPL-2.0-only
#
# The variables of the Makefile: which goal takes which, and what is wrong with those that were
# given. The Makefile names the goals of this run (goals), and all that there are (targets).

choice = DRIVERS DRIVER SUITES VMMS FLAVOUR FAIL_ON JOBS PYTEST
subject = BEHAVIOUR CLAUSE TESTS
machine = MEMORY CPUS QEMU_OPTIONS KERNEL_OPTIONS GDB
takes.check = KERNEL BASELINE SHELL_ON_FAILURE DUMP $(choice) $(subject) $(machine)
takes.vmm = $(filter-out SUITES,$(takes.check))
takes.premerge = TREE BASE SERIES VERSION EXPECT CLUSTER $(choice)
takes.matrix = KERNELS CLUSTER $(choice)
takes.compat = KERNELS DRIVERS DRIVER FLAVOUR $(machine)
takes.bisect = TREE GOOD BAD CLUSTER $(choice) $(subject)
takes.worker = CLUSTER
takes.bisect-step = TREE GOOD $(choice) $(subject)
takes.baseline = KERNEL BASELINE $(choice) $(subject) $(machine)
takes.history = DRIVERS DRIVER BEHAVIOUR CLAUSE
takes.shell = KERNEL DRIVERS DRIVER FLAVOUR CMD $(machine)
takes.coverage = KERNEL $(filter-out FLAVOUR,$(choice)) $(subject) $(machine)
takes.streams = KERNEL DRIVERS DRIVER FLAVOUR $(machine)
takes.selftests = KERNEL DRIVERS DRIVER FLAVOUR $(machine)
takes.soak = RUNS KERNEL $(choice) $(subject) $(machine)
takes.patchwork-check = SERIES_ID SERVER
takes.mutants = KERNEL DRIVERS DRIVER FLAVOUR N SEED MUTANT
takes.report = RESULTS FORMATS
takes.unit = PYTEST
takes.test = PYTEST
takes.test-long = PYTEST
takes.bench = KERNEL AGAINST
takes.cache = PRUNE KEEP
takes.prune = KEEP_DAYS KEEP_GB PRUNE
variables := $(sort $(foreach goal,$(targets),$(takes.$(goal))))

default.KERNEL = debian:newest
default.FLAVOUR = default
default.FAIL_ON = should
default.JOBS = auto
default.RUNS = 20
default.SEED = 1
default.RESULTS = results/latest

# The environment of what is run, which make can be given, too, and what make itself knows.
environment = PYTHON DEBIAN_MIRROR XDG_CACHE_HOME TMPDIR PYTEST_ADDOPTS SHELL MAKEFLAGS \
	LLVM LLVM_IAS KCFLAGS KCPPFLAGS KAFLAGS

taken := $(sort $(foreach goal,$(goals),$(takes.$(goal))))
origin_is = $(filter $1,$(firstword $(origin $2)))

# A make that runs this one hands on arguments that are not meant for it.
ifeq ($(MAKELEVEL),0)
arguments := $(foreach one,$(.VARIABLES),$(if $(call origin_is,command,$(one)),$(one)))
unknown := $(firstword $(filter-out $(variables) $(environment),$(arguments)))
ifneq ($(unknown),)
hint := $(shell python3 -c 'import difflib, sys; name, *known = sys.argv[1:]; \
	print(*("is it %s?" % one for one in difflib.get_close_matches(name, known, 1)))' \
	'$(unknown)' $(variables) $(environment) 2>/dev/null)
$(error $(unknown)= is no variable of this Makefile; \
	$(or $(hint),`make help` lists them (for the environment: $(unknown)=... make ...)))
endif
misplaced := $(firstword $(filter-out $(taken) $(environment),$(arguments)))
ifneq ($(and $(filter-out help,$(goals)),$(misplaced)),)
takers := $(foreach goal,$(targets),$(if $(filter $(misplaced),$(takes.$(goal))),$(goal)))
$(error $(misplaced)= is not for make $(goals); it is for $(strip $(takers)))
endif
empty := $(firstword $(foreach one,$(arguments),$(if $(default.$(one)),$(if $(value $(one)),,$(one)))))
ifneq ($(empty),)
$(error $(empty)= is empty; leave it out for $(default.$(empty)))
endif
endif

# No run becomes another one, unseen, by a variable that a shell happens to have.
ifndef announced
$(foreach one,$(taken),$(if $(call origin_is,environment,$(one)),$(if \
	$(value $(one)),$(warning from the environment: $(one)=$(value $(one))))))
endif

# Commands read them in the environment, where make and the shell do not look into the values.
$(foreach one,$(variables),$(eval override $(one) := $(if \
	$(value $(one)),$$(value $(one)),$(default.$(one)))))
export $(variables)
