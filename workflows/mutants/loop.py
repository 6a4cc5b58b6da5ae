# SPDX-License-Identifier: GPL-2.0-only
"""A pytest plugin: mutant after mutant in one process, and in as few machines as possible.

The tests are collected once. For each mutant the guest's module is replaced, and the tests run
until one sees a new fault; that one runs again, unless the guest has died. pytest's own loop is not
entered.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from fixtures import cache, suite
from fixtures.errors import RunError
from fixtures.plugin.run import Run, of
from fixtures.progress import Progress
from workflows.mutants.bench import Bench, Made
from workflows.mutants.judge import Fault, run_test
from workflows.mutants.module import module_of
from workflows.mutants.mutant import Mutant
from workflows.mutants.order import Order
from workflows.mutants.store import KILLED, SURVIVED, Job, Known, Store, Verdict
from workflows.mutants.swap import Swap

OPTION = "--mutants"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(OPTION, metavar="FOLDER", required=True, help="the folder with the job")


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Get all ready that the first machine needs, before it boots."""
    run, folder = of(session.config), Path(session.config.getoption(OPTION[2:]))
    job = Job.read(folder)
    with ExitStack() as stack:
        try:
            lock = stack.enter_context(cache.locked(f"mutants-{folder.name}", Progress()))
            module = module_of(run.asked.driver(job.driver), run.prepare().kernel)
            bench = Bench(module, folder, lock)
            swap = Swap(run, module, folder)
            swap.put(bench.original)
        except RunError as error:
            pytest.exit(f"Error: {error}", returncode=2)
        session.config.add_cleanup(stack.pop_all().close)
    loop = Loop(session, run, job, Store(folder), bench, swap)
    session.config.pluginmanager.register(loop, "mutants")


class Loop:
    """The mutants of ``job``, one after the other."""

    def __init__(
        self,
        session: pytest.Session,
        run: Run,
        job: Job,
        store: Store,
        bench: Bench,
        swap: Swap,
    ) -> None:
        self._items = session.items
        self._say = session.config.get_terminal_writer().line
        self._run = run
        self._job = job
        self._store = store
        self._bench = bench
        self._swap = swap
        self._suite = suite.digest()
        self._known: dict[str, Known] = {}

    def pytest_runtestloop(self) -> bool:
        """Judge all mutants; the plugin of the suites has booted a machine."""
        if self._run.error is None:
            try:
                self._judge_all()
            except RunError as error:
                self._run.error = error
        return True

    def _judge_all(self) -> None:
        self._known = self._store.baseline(self._suite) or self._measure()
        order = Order(self._items, self._known, self._job.passed)
        order.learn(self._store.verdicts().values())
        for number, (mutant, made) in enumerate(self._made(), 1):
            began = time.monotonic()
            verdict = self._judge(mutant, made, order)
            seconds = time.monotonic() - began
            self._store.add(verdict)
            order.learn([verdict])
            self._tell(number, verdict, seconds)

    def _made(self) -> Iterator[tuple[Mutant, Made]]:
        """Yield each mutant when it is compiled; meanwhile the next one is."""
        with ThreadPoolExecutor(1) as compiler:
            todo = [compiler.submit(self._bench.make, one) for one in self._job.mutants[:1]]
            for at, mutant in enumerate(self._job.mutants):
                made = todo[at].result()
                todo += [
                    compiler.submit(self._bench.make, one)
                    for one in self._job.mutants[at + 1 : at + 2]
                ]
                yield mutant, made

    def _measure(self) -> dict[str, Known]:
        """Run each test on the unchanged driver."""
        found = {}
        for item, following in _with_following(self._items):
            began = time.monotonic()
            run = run_test(item, following)
            clauses = sorted({fault.clause for fault in run.faults})
            seconds = round(time.monotonic() - began, 3)
            found[item.nodeid] = Known(tuple(clauses), seconds, run.applies)
        self._swap.unload()
        self._store.keep_baseline(self._suite, found)
        failing = sum(bool(one.clauses) for one in found.values())
        total = sum(one.seconds for one in found.values())
        self._say(f"baseline: {len(found)} tests in {total:.0f} s, {failing} of them fail")
        return found

    def _judge(self, mutant: Mutant, made: Made, order: Order) -> Verdict:
        if made.module is None:
            assert made.why_not is not None
            return Verdict(mutant, made.why_not.value, self._suite)
        began = time.monotonic()
        self._run.machines.forget_deaths()
        self._swap.put(made.module)
        machine = self._run.machines.virtual
        items = order.of(mutant, machine.spec.processors if machine else 1)
        found, died, doubtful = self._killed(items, made.module)
        if said := self._swap.unload():
            died = True
            found = found or [Fault("", "device.remove", said)]
        made.module.unlink()
        return Verdict(
            mutant,
            KILLED if found else SURVIVED,
            self._suite,
            round(time.monotonic() - began, 2),
            tuple(found),
            died,
            tuple(doubtful),
        )

    def _killed(
        self, items: Sequence[pytest.Item], module: Path
    ) -> tuple[list[Fault], bool, list[str]]:
        """Return the first new faults that come again, and whether the guest died of them.

        And the tests that failed once. Without a death the unchanged driver must do what it always
        does in the same guest: if not, an earlier mutant may have spoilt it, or this one has.
        """
        doubtful: list[str] = []
        for item, following in _with_following(items):
            if not (found := self._new_faults(item, following)):
                continue
            if self._has_died():
                return found, True, doubtful
            self._swap.unload()
            self._swap.put(module)
            if not (found := self._new_faults(item, following)):
                doubtful.append(item.nodeid)
                continue
            if self._has_died():
                return found, True, doubtful
            self._swap.unload()
            self._swap.put(self._bench.original)
            if not self._new_faults(item, following):
                return found, False, doubtful
            self._run.machines.stop()
            self._swap.put(module)
            found = self._new_faults(item, following)
            self._run.machines.stop()
            if found:
                return found, False, doubtful
        return [], False, doubtful

    def _has_died(self) -> bool:
        """Return whether the guest has died, or its kernel complained; it is dropped then."""
        self._run.machines.drop_what_died()
        return self._run.machines.guest is None

    def _new_faults(self, item: pytest.Item, following: pytest.Item | None) -> list[Fault]:
        known = self._known[item.nodeid].clauses
        return [one for one in run_test(item, following).faults if one.clause not in known]

    def _tell(self, number: int, verdict: Verdict, seconds: float) -> None:
        mutant = verdict.mutant
        by = ""
        if verdict.faults:
            first = verdict.faults[0]
            by = f" by {first.clause}{' (died)' if verdict.died else ''}: {first.seen[:60]}"
        self._say(
            f"{number}/{len(self._job.mutants)} {seconds:.1f} s {verdict.outcome}: {mutant.key}"
            f" {mutant.operator} {mutant.function}:{mutant.line}{by}"
        )


def _with_following(
    items: Sequence[pytest.Item],
) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
    """Yield each of ``items`` with the one after it."""
    return zip(items, (*items[1:], None), strict=True)
