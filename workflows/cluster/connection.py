# SPDX-License-Identifier: GPL-2.0-only
"""Dask distributed: a cluster of this host's processes, or one that has a scheduler already."""

from __future__ import annotations

import contextlib
import importlib
import ipaddress
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fixtures import cache
from fixtures.errors import SpecError
from fixtures.kernel import make
from workflows.cluster import away, child, ssh
from workflows.cluster.apart import Apart
from workflows.cluster.host import Host
from workflows.cluster.shared import Shared
from workflows.cluster.workers import Cluster, Trip, present

EXTRA = ".venv/bin/pip install -r requirements-cluster.txt"
_TO_END = 5  # seconds that workers get
_TO_ANSWER = 30  # seconds that a scheduler gets, and its first worker
_TO_START = 60  # seconds that the first worker gets by ssh
# Where Dask looks for the names of certificates, in the environment or its own configuration.
_TLS = "distributed.comm.tls.ca-file"
_TLS_VARIABLES = (
    "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, ..._TLS__CLIENT__CERT and ..._TLS__CLIENT__KEY"
)


@dataclass(frozen=True)
class Dask:
    """The modules of Dask; not all hosts have them, so that their types are not checked on any."""

    dask: Any
    distributed: Any

    @classmethod
    def there(cls) -> Dask:
        """Return the modules.

        Raises SpecError if they are not installed.
        """
        try:
            return cls(importlib.import_module("dask"), importlib.import_module("distributed"))
        except ImportError:
            raise SpecError(f"CLUSTER= needs Dask distributed: {EXTRA}") from None


@contextmanager
def on_this_host(workers: int, trip: Trip | None = None) -> Iterator[Cluster]:
    """Start ``workers``, and end them after the block, whatever they do.

    They take orders by TLS, with keys of this job, on loopback only.

    Raises SpecError if Dask distributed is not installed.
    """
    modules = Dask.there()
    with (
        _local(modules, workers, True) as local,
        _connected(modules, modules.distributed.Client(local)) as client,
    ):
        yield from _served(Cluster(modules.distributed, client, workers, trip or Shared()))


@contextmanager
def _local(modules: Dask, workers: int, security: Any) -> Iterator[Any]:
    """Start a scheduler, and ``workers``, on loopback; end them after the block."""
    settings = {
        "distributed.scheduler.allowed-failures": 0,  # it is ``Cluster`` that tries again
        # No web server: it would answer every user of this host.
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
    }
    with cache.scratch() as folder, modules.dask.config.set(settings):
        # Ctrl-C is for the job alone, which then ends its workers: these go on to ignore it.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            local = modules.distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                memory_limit=0,  # the steps' machines are no memory of the worker
                host="127.0.0.1",
                security=security,
                dashboard_address="127.0.0.1:0",
                local_directory=str(folder),
                silence_logs=logging.CRITICAL,
            )
            try:
                signal.signal(signal.SIGINT, before)
                yield local
            finally:
                with contextlib.suppress(TimeoutError):
                    local.close(timeout=_TO_END)
        finally:
            signal.signal(signal.SIGINT, before)


@contextmanager
def by_ssh(text: str) -> Iterator[Cluster]:
    """Start a worker on each host of the file that ``text``, ssh:FILE, names.

    Raises SpecError if the file names no hosts, or none of them has a worker soon.
    """
    modules = Dask.there()
    hosts = ssh.hosts(text.removeprefix("ssh:"))
    security = modules.distributed.Security.temporary()
    keys = {
        "tls_ca_file": security.tls_ca_file,
        "tls_worker_cert": security.tls_worker_cert,
        "tls_worker_key": security.tls_worker_key,
        "require_encryption": True,
    }
    with _local(modules, 0, security) as local:
        port = urlsplit(local.scheduler_address).port
        assert port is not None
        with (
            ssh.started(hosts, port, keys) as told,
            _connected(modules, modules.distributed.Client(local)) as client,
        ):
            with contextlib.suppress(TimeoutError):  # those that come late are used, too
                client.wait_for_workers(len(hosts), timeout=_TO_START / 2)
            try:
                client.wait_for_workers(1, timeout=_TO_START / 2)
            except TimeoutError:
                why = "; ".join(f"{name}: {line}" for name, line in sorted(told.said.items()))
                raise SpecError(
                    f"CLUSTER={text}: no host has a worker: {why or 'none said why'}"
                ) from None
            yield from _served(_apart(modules, client, text, len(hosts)))


@contextmanager
def by_scheduler(text: str) -> Iterator[Cluster]:
    """Connect to the scheduler with the URL ``text``, tcp://HOST:PORT or tls://HOST:PORT.

    Raises SpecError if it, or a worker, does not answer, or if others could give orders, too.
    """
    modules = Dask.there()
    url = checked(modules, text)
    security = modules.distributed.Security() if url.startswith("tls:") else None
    with modules.dask.config.set({"distributed.comm.timeouts.connect": f"{_TO_ANSWER}s"}):
        try:
            client = modules.distributed.Client(url, security=security, timeout=_TO_ANSWER)
        except (OSError, ValueError, TypeError) as error:
            said = str(error).partition("\n")[0]
            raise SpecError(f"CLUSTER={text}: no scheduler answers there: {said}") from error
        with _connected(modules, client):
            try:
                client.wait_for_workers(1, timeout=_TO_ANSWER)
            except TimeoutError:
                raise SpecError(
                    f"CLUSTER={text}: the scheduler has no worker; on each host:"
                    f" make worker CLUSTER={text}"
                ) from None

            yield from _served(_apart(modules, client, text, len(present(client))))


def _apart(modules: Dask, client: Any, text: str, workers: int) -> Cluster:
    """Return the cluster ``text`` of other hosts."""

    def ask(address: str) -> Host:
        answer: Host = client.run(child.aside, away.describe, make.asked(), workers=[address])[
            address
        ]
        return answer

    return Cluster(modules.distributed, client, workers, Apart(text, ask))


def _served(made: Cluster) -> Iterator[Cluster]:
    try:
        yield made
    finally:
        made.close()


@contextmanager
def _connected(modules: Dask, client: Any) -> Iterator[Any]:
    # Dask tells of each lost connection, with a traceback; what it means is told by ``Cluster``.
    with modules.distributed.utils.silence_logging_cmgr(logging.CRITICAL):
        try:
            yield client
        finally:
            with contextlib.suppress(TimeoutError, OSError):
                client.close(timeout=_TO_END)


def checked(modules: Dask, text: str) -> str:
    """Return the URL to connect to.

    Raises SpecError if it is none, or if it is neither on loopback nor has certificates.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise SpecError(f"CLUSTER={text}: is no URL with a port, such as tcp://head:8786")
    if modules.dask.config.get(_TLS, None):
        return f"tls://{parts.netloc}"
    if parts.scheme == "tcp" and is_loopback(host):
        return text
    if parts.scheme == "tls":
        raise SpecError(f"CLUSTER={text}: no certificates are named; set {_TLS_VARIABLES}")
    raise SpecError(
        f"CLUSTER={text}: without certificates everybody in that network could run programs here;"
        f" name the hosts in a file (CLUSTER=ssh:FILE), or set {_TLS_VARIABLES}"
    )


def is_loopback(host: str) -> bool:
    """Return whether all addresses of ``host`` are this host's own."""
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:  # no such host: nobody is reached either
        return False
    return all(ipaddress.ip_address(one[4][0]).is_loopback for one in found)
