"""What a worker counts: every metric under the name Prometheus scrapes; the table in docs/how-to/operate.md tells the same."""

from collections.abc import Collection

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics, generate_latest

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30, 120, 600, 3600)

FRESHNESS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 1800)


class Metrics:
    """The metrics of one worker process. No label has values that clients choose: unknown kinds are counted as `unknown`."""

    def __init__(self, kinds: Collection[str] = ()) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for every one, which nobody looks at
        self._kinds = frozenset(kinds)
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.claims = Counter("marquee_worker_claims_total", "Claims, by what they found.", ["queue", "found"], registry=registry)
        self.batch_size = Histogram(
            "marquee_worker_batch_size_tasks", "Tasks that a claim brought.", ["queue"], buckets=BATCH_SIZES, registry=registry
        )
        self.duration = Histogram(
            "marquee_worker_batch_duration_seconds",
            "From the start of a batch's work to its result being stored.",
            ["kind"],
            buckets=SECONDS,
            registry=registry,
        )
        self.outcomes = Counter("marquee_worker_tasks_total", "Attempts that ended, by how.", ["kind", "outcome"], registry=registry)
        self.fenced_out = Counter(
            "marquee_worker_fenced_out_total", "Endings refused because the lease had been lost.", ["kind"], registry=registry
        )
        self.stale_rings = Counter(
            "marquee_worker_stale_rings_total", "Rings of the broker that brought no task.", ["queue"], registry=registry
        )
        self.renewals = Counter("marquee_worker_lease_renewals_total", "Leases renewed.", registry=registry)
        self.renewal_failures = Counter(
            "marquee_worker_lease_renewal_failures_total", "Rounds of renewal that the database did not take.", registry=registry
        )
        self.renewal_age = Gauge("marquee_worker_lease_renewal_age_seconds", "Since all leases held were last renewed.", registry=registry)
        self.bell_connected = Gauge("marquee_worker_bell_connected", "1 while the bell rings, 0 while slots poll.", registry=registry)
        self.slot_age = Gauge(
            "marquee_worker_slot_tick_age_seconds", "Since the slot last gave a sign of life.", ["slot"], registry=registry
        )
        self.freshness = Histogram(
            "marquee_list_freshness_seconds",
            "From an event, or whoever else asked for a list, to the list being stored.",
            buckets=FRESHNESS_SECONDS,
            registry=registry,
        )
        self.artifacts_free = Gauge(
            "marquee_artifacts_free_bytes", "Space left where artifacts are kept; NaN for a bucket.", registry=registry
        )
        self.model_version = Gauge("marquee_worker_model_version", "Version of the model in memory; 0 is none.", registry=registry)

    def kind(self, kind: str) -> str:
        """The label for a kind."""
        return kind if kind in self._kinds else "unknown"

    def count_outcome(self, kind: str, outcome: str, count: int = 1) -> None:
        """`count` attempts of this kind ended so."""
        if count:
            self.outcomes.labels(self.kind(kind), outcome).inc(count)

    def render(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self.registry)
