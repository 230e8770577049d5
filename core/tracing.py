"""OpenTelemetry traces of requests and tasks, where OTEL_EXPORTER_OTLP_ENDPOINT is set and the group `tracing` is installed."""

import hashlib
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")

Attributes = Mapping[str, str | int | float | bool]


class TracingNotInstalled(Exception):
    """An endpoint is set, but the libraries are not there."""


class Tracing:
    """Spans of one process, sent in the background; without an endpoint every call does nothing.

    The correlation id is the trace: 32 hexadecimal digits are taken as they are, anything else by its SHA-256. It stands in the
    task's row already, so that request, task and worker meet in one trace without another column. What none of them began
    itself hangs below a root that is derived from the id too and is never sent.
    """

    def __init__(self, service: str, endpoint: str | None) -> None:
        self._provider = _provider(service, endpoint) if endpoint else None

    @property
    def is_on(self) -> bool:
        """Whether spans go anywhere."""
        return self._provider is not None

    def record(
        self,
        name: str,
        *,
        correlation_id: str,
        seconds: float,
        attributes: Attributes,
        traceparent: str = "",
        failed: bool = False,
        ended_ago: float = 0.0,
    ) -> None:
        """A span that ended `ended_ago` seconds ago and took so many seconds, below `traceparent` (W3C) if that is of the same trace."""
        if self._provider is None:
            return
        from opentelemetry.trace import SpanKind, Status, StatusCode

        ended = time.time_ns() - int(ended_ago * 1e9)
        span = self._provider.get_tracer("marquee").start_span(
            name,
            context=_parent(correlation_id, traceparent),
            kind=SpanKind.SERVER if traceparent or name.startswith("HTTP") else SpanKind.CONSUMER,
            attributes={**attributes, "marquee.correlation_id": correlation_id},
            start_time=ended - int(seconds * 1e9),
        )
        if failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended)

    def close(self) -> None:
        """Send what is left."""
        if self._provider is not None:
            self._provider.shutdown()


def trace_id(correlation_id: str) -> str:
    """The trace of a correlation id, as 32 hexadecimal digits."""
    is_one = _TRACE_ID.fullmatch(correlation_id) and int(correlation_id, 16)
    return correlation_id if is_one else hashlib.sha256(correlation_id.encode()).hexdigest()[:32]


def _parent(correlation_id: str, traceparent: str) -> "Context":
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    trace = trace_id(correlation_id)
    given = TRACEPARENT.fullmatch(traceparent)
    span = given[2] if given and given[1] == trace else hashlib.sha256(trace.encode()).hexdigest()[:16]
    return set_span_in_context(NonRecordingSpan(SpanContext(int(trace, 16), int(span, 16), is_remote=True, trace_flags=TraceFlags(1))))


def _provider(service: str, endpoint: str) -> "TracerProvider":
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise TracingNotInstalled("OTEL_EXPORTER_OTLP_ENDPOINT is set, but the libraries are missing: `uv sync --group tracing`") from error
    provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=5)))
    return provider
