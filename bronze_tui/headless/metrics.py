"""Prometheus metrics under the Go copier's names, fed by the journal; ``/metrics`` and ``/health``
on ``metrics.address``. A scrape never touches the engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app

from bronze_tui.domain.errors import StoreRefused
from bronze_tui.journal import run_figures
from bronze_tui.journal.run_view import RunView

_LABELS = ("network", "era_id", "version")
_NAMESPACE = "bronze_copier"


def _exponential(first: float, count: int) -> list[float]:
    return [first * 2**i for i in range(count)]


class RunMetrics:
    """The metrics of one run; call it with each journal record."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._view = RunView()
        self._handlers: dict[str, Callable[[dict[str, Any]], None]] = {
            "partition_built": self._built,
            "partition_committed": self._committed,
            "partition_failed": self._failed,
            "partition_retried": self._retried,
            "throughput": self._throughput,
            "stage_figures": self._stages,
            "requests": self._requests,
            "alert": self._alert,
            "coverage": self._coverage,
            "event_delivered": self._delivered,
            "outbox_figures": self._outbox,
        }
        self._partition_metrics()
        self._pipeline_metrics()
        self._error_metrics()
        self._delivery_metrics()
        self._request_metrics()

    def __call__(self, record: dict[str, Any]) -> None:
        self._view.apply(record)
        self._view.changed.clear()
        handle = self._handlers.get(str(record.get("kind")))
        if handle is not None:
            handle(record)

    def _counter(self, name: str, text: str, labels: tuple[str, ...] = _LABELS) -> Counter:
        return Counter(name, text, labels, namespace=_NAMESPACE, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(name, text, labels, namespace=_NAMESPACE, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: list[float]) -> Histogram:
        return Histogram(
            name, text, _LABELS, namespace=_NAMESPACE, registry=self.registry, buckets=buckets
        )

    def _partition_metrics(self) -> None:
        self._processed = self._counter("partitions_processed_total", "Partitions committed")
        self._skipped = self._counter("partitions_skipped_total", "Partitions there at start")
        self._failures = self._counter("partitions_failed_total", "Partitions given up")
        self._ledgers = self._counter("ledgers_processed_total", "Ledgers committed")
        self._last = self._gauge("last_ledger_sequence", "Last committed ledger", _LABELS)
        self._build = self._histogram(
            "partition_build_duration_seconds", "Time to build", _exponential(0.1, 10)
        )
        self._commit = self._histogram(
            "partition_commit_duration_seconds", "Time to commit", _exponential(0.1, 12)
        )
        self._rows = self._histogram("partition_rows", "Rows of a partition", _exponential(100, 10))
        self._bytes = self._histogram(
            "partition_bytes", "Parquet bytes of a partition", _exponential(1024, 24)
        )

    def _pipeline_metrics(self) -> None:
        self._pending = self._gauge("sequencer_pending", "Built partitions held back")
        self._in_flight = self._gauge("in_flight_partitions", "Partitions being built")
        self._rate = self._gauge("ledgers_per_second", "Ledgers built a second")
        self._resident = self._gauge("resident_bytes", "Resident memory")
        self._workers = self._gauge("workers", "Builders wanted")

    def _error_metrics(self) -> None:
        self._errors = {
            name: self._counter(f"{name}_errors_total", text, ())
            for name, text in (
                ("source", "Source errors"),
                ("storage", "Store errors"),
                ("metadata", "Catalog and checkpoint errors"),
                ("pas", "Audit event errors"),
            )
        }
        self._retries = self._counter("retry_attempts_total", "Retries of partitions", ())

    def _delivery_metrics(self) -> None:
        self._deliveries = self._counter("pas_events_delivered_total", "Audit events acknowledged")
        self._waiting = self._gauge("pas_outbox_events", "Audit events that wait for delivery")
        self._oldest = self._gauge("pas_outbox_oldest_seconds", "Age of the first that waits")
        self._parked = self._gauge("pas_parked_events", "Audit events a person must decide about")
        self._failing = self._gauge("pas_delivery_failing", "1 while deliveries fail")

    def _delivered(self, record: dict[str, Any]) -> None:
        self._deliveries.labels(*_labels(record)).inc()

    def _outbox(self, record: dict[str, Any]) -> None:
        self._waiting.set(record["waiting"])
        self._parked.set(record["parked"])
        self._failing.set(record["state"] == "failing")
        if record["waiting"]:
            born = record["time"] - record["oldest_seconds"]
            self._oldest.set_function(lambda: max(0.0, time.time() - born))
        else:
            self._oldest.set_function(lambda: 0.0)

    def _request_metrics(self) -> None:
        self._seen: dict[tuple[str, ...], int] = {}
        self._request_counts = self._counter(
            "requests_total", "Requests to a remote source or store", ("role", "kind")
        )
        self._request_bytes = self._counter(
            "request_bytes_total", "Bytes of object bodies", ("role", "direction")
        )
        self._request_retries = self._counter(
            "request_retries_total", "Requests made again after no answer", ("role",)
        )
        self._request_throttles = self._counter(
            "request_throttles_total", "Answers that asked to slow down", ("role",)
        )

    def _built(self, record: dict[str, Any]) -> None:
        self._build.labels(*_labels(record)).observe(record["seconds"])

    def _committed(self, record: dict[str, Any]) -> None:
        labels = _labels(record)
        self._processed.labels(*labels).inc()
        self._ledgers.labels(*labels).inc(record["rows"])
        self._set_last(record)
        self._commit.labels(*labels).observe(record["seconds"])
        self._rows.labels(*labels).observe(record["rows"])
        self._bytes.labels(*labels).observe(record["parquet_bytes"])

    def _coverage(self, record: dict[str, Any]) -> None:
        self._skipped.labels(*_labels(record)).inc(record["events"])
        self._set_last(record)

    def _set_last(self, record: dict[str, Any]) -> None:
        """A filled hole lies below the last ledger and does not move it."""
        last = self._view.chain(record["chain_key"]).committed.last_end
        if last >= 0:
            self._last.labels(*_labels(record)).set(last)

    def _failed(self, record: dict[str, Any]) -> None:
        self._failures.labels(*_labels(record)).inc()
        kind = record["error_type"]
        name = "metadata" if kind == "CatalogUnavailable" else "source"
        if kind.startswith("Store"):
            name = "storage"
        self._errors[name].inc()

    def _retried(self, record: dict[str, Any]) -> None:  # noqa: ARG002
        self._retries.inc()

    def _alert(self, record: dict[str, Any]) -> None:
        names = {
            "audit": "pas",
            "catalog": "metadata",
            "checkpoint": "metadata",
            "delivery": "pas",
            "source": "source",
        }
        name = names.get(record["component"])
        if name is not None and record["level"] != "info":
            self._errors[name].inc()

    def _throughput(self, record: dict[str, Any]) -> None:  # noqa: ARG002
        now = run_figures.rate(self._view)
        self._rate.set(now.ledgers if now is not None else 0.0)
        self._resident.set(run_figures.resident_bytes(self._view) or 0)
        self._workers.set(run_figures.workers(self._view) or 0)

    def _stages(self, record: dict[str, Any]) -> None:
        self._pending.set(record["held"])
        self._in_flight.set(record["in_flight"])

    def _requests(self, record: dict[str, Any]) -> None:
        role = str(record["role"])
        for kind in ("get", "put", "head", "list", "delete", "other"):
            self._raise(self._request_counts, (role, kind), record[f"{kind}s"])
        for direction in ("in", "out"):
            self._raise(self._request_bytes, (role, direction), record[f"bytes_{direction}"])
        self._raise(self._request_retries, (role,), record["retries"])
        self._raise(self._request_throttles, (role,), record["throttles"])

    def _raise(self, counter: Counter, labels: tuple[str, ...], total: int) -> None:
        """Raise a counter to a total that the journal tells."""
        key = (counter._name, *labels)
        counter.labels(*labels).inc(max(0, total - self._seen.get(key, 0)))
        self._seen[key] = max(total, self._seen.get(key, 0))


def _labels(record: dict[str, Any]) -> tuple[str, str, str]:
    network, era_id, version = str(record["chain_key"]).split("/")
    return network, era_id, version


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are not news."""


class MetricsServer:
    """Serves the metrics of the records it is called with.

    Args:
        address: ``host:port`` as in the Go copier; without a host it listens everywhere.

    Raises:
        StoreRefused: the address cannot be used.
    """

    def __init__(self, address: str) -> None:
        self._metrics = RunMetrics()
        host, _, port = address.rpartition(":")
        try:
            self._server = make_server(
                host.strip("[]"),
                int(port),
                self._app(),
                server_class=_Server,
                handler_class=_Quiet,
            )
        except (OSError, ValueError) as error:
            raise StoreRefused(
                f"metrics cannot be served ({error})",
                where=address,
                todo="set metrics.address to a free host:port, or metrics.enabled: false",
            ) from error
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def __call__(self, record: dict[str, Any]) -> None:
        """Take a journal record."""
        self._metrics(record)

    def _app(self) -> Any:
        metrics = make_wsgi_app(self._metrics.registry)

        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            path = environ.get("PATH_INFO", "")
            if path == "/metrics":
                answer: Iterable[bytes] = metrics(environ, start_response)
                return answer
            status = "200 OK" if path == "/health" else "404 Not Found"
            start_response(status, [("Content-Type", "text/plain")])
            return [b"OK" if path == "/health" else b"not found"]

        return app

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
