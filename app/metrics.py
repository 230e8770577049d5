"""What the app counts: every metric under the name Prometheus scrapes; the table in docs/how-to/operate.md tells the same."""

import math
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics, generate_latest

REQUEST_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
LAG_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 30, 300)
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class DispatcherMetrics:
    """What is counted wherever a dispatcher runs, in the app or in a process of its own. No label has values that clients choose."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for every one, which nobody looks at
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.reaped = Counter(
            "marquee_dispatcher_reaped_total",
            "Tasks taken from workers that died (requeued, dead, cancelled) and tasks that came too late (expired).",
            ["outcome"],
            registry=registry,
        )
        self.pass_age = Gauge(
            "marquee_dispatcher_pass_age_seconds", "Since the last reaping; +Inf before the first, NaN where it is off.", registry=registry
        )
        self.broker_connected = Gauge(
            "marquee_broker_connected", "1 while rings reach the broker, 0 while workers poll; NaN where there is none.", registry=registry
        )
        self.rings = Counter(
            "marquee_rings_total",
            "Tasks that the broker was rung for, by whether it took the ring.",
            ["queue", "outcome"],
            registry=registry,
        )
        self.repeated_rings = Counter(
            "marquee_rings_repeated_total", "Rings given again because the first brought no claim.", ["queue"], registry=registry
        )
        self.ring_lag = Histogram(
            "marquee_ring_lag_seconds",
            "From a task being due to its ring being confirmed, by who rang.",
            ["path"],
            buckets=LAG_SECONDS,
            registry=registry,
        )

        self.schedule_fires = Counter(
            "marquee_schedule_fires_total",
            "Times that this process fired a schedule, by what became of it.",
            ["kind", "outcome"],
            registry=registry,
        )

    def observe_broker(self, is_connected: bool | None) -> None:
        """Whether the broker takes rings; None without one."""
        self.broker_connected.set(math.nan if is_connected is None else is_connected)

    def render(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self.registry)


class Metrics(DispatcherMetrics):
    """The metrics of the app."""

    def __init__(self) -> None:
        super().__init__()
        registry = self.registry
        self.request_duration = Histogram(
            "marquee_http_request_duration_seconds",
            "From a request's arrival to the end of its answer.",
            ["method", "route", "status"],
            buckets=REQUEST_SECONDS,
            registry=registry,
        )
        self.waiting_clients = Gauge("marquee_http_waiting_clients", "Open long polls and event streams.", ["by"], registry=registry)
        self.sign_ins = Counter("marquee_sign_ins_total", "Passwords shown, by what came of it.", ["outcome"], registry=registry)
        self.live_model_age = Gauge(
            "marquee_live_model_age_seconds",
            "Since the live model was trained; +Inf without one, NaN while the database is away.",
            registry=registry,
        )
        self.artifacts_free = Gauge(
            "marquee_artifacts_free_bytes", "Space left where artifacts are kept; NaN for a bucket.", registry=registry
        )
        self.deleted = Counter(
            "marquee_janitor_deleted_total", "Old rows and files deleted, by what they were.", ["what"], registry=registry
        )
        self.queue_tasks = Gauge("marquee_queue_tasks", "Tasks that are queued or running.", ["queue", "state"], registry=registry)
        self.queue_age = Gauge(
            "marquee_queue_oldest_age_seconds", "How long the oldest queued task has been due.", ["queue"], registry=registry
        )
        self.schedule_fired_at = Gauge(
            "marquee_schedule_last_fire_timestamp_seconds", "When an enabled schedule last fired.", ["schedule"], registry=registry
        )
        self.schedule_lag = Gauge(
            "marquee_schedule_lag_seconds",
            "How late an enabled schedule last fired, or is by now, whichever is more.",
            ["schedule"],
            registry=registry,
        )

    def observe_request(self, *, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count a request under its route's template; addresses that are no route share one label."""
        labels = (method if method in METHODS else "other", route or "none", str(status))
        self.request_duration.labels(*labels).observe(seconds)
