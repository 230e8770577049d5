"""One trace from a request over its task to the worker, as an OTLP collector receives it from real processes."""

import gzip
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from core.tracing import trace_id
from tests.rigs.instance import at_work
from tests.rigs.web import serving

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, str, str, str]]]]:
    """Its address, and what it received: service, name, trace and parent of each span."""
    received: list[tuple[str, str, str, str]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                (service,) = [a.value.string_value for a in resource.resource.attributes if a.key == "service.name"]
                spans = [span for scope in resource.scope_spans for span in scope.spans]
                received.extend((service, span.name, span.trace_id.hex(), span.parent_span_id.hex()) for span in spans)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with serving(Collector) as address:
        yield address, received


@pytest.fixture
def api(database_url: str, collector, tmp_path: Path) -> Iterator[httpx2.Client]:
    """A client of a real app beside a real worker, both telling the collector."""
    with at_work(database_url, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector[0], OTEL_BSP_SCHEDULE_DELAY="100") as client:
        yield client


def test_request_task_and_worker_are_one_trace(api, collector):
    received = collector[1]
    body = {"kind": "refresh_lists", "payload": {}}
    asked = api.post("/tasks", json=body, headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
    assert (asked.status_code, asked.headers["x-correlation-id"]) == (202, TRACE)
    deadline = time.monotonic() + 60
    while not {"task refresh_lists", "wait in batch", "HTTP POST /tasks"} <= {name for _, name, *_ in received}:
        assert time.monotonic() < deadline, received
        time.sleep(0.05)
    ours = {name: (service, trace, parent) for service, name, trace, parent in received if trace == TRACE}
    assert ours["HTTP POST /tasks"] == ("marquee-app", TRACE, SPAN), "below the span of whoever asked"
    assert ours["task refresh_lists"][:2] == ours["wait in batch"][:2] == ("marquee-worker", TRACE)


def test_any_correlation_id_is_a_trace():
    assert trace_id(TRACE) == TRACE
    assert trace_id("order-7") == trace_id("order-7") != trace_id("order-8")
    assert len(trace_id("0" * 32).strip("0")) > 16, "a trace of zeros is none"
