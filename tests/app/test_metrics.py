"""What the app counts, as Prometheus reads it."""

import re

import pytest

from app.metrics import Metrics
from core import claims, tasks
from core.messages import RecommendPayload


@pytest.fixture
def scrape(client):
    """The value of one series."""

    def read(series):
        answer = client.get("/metrics")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        found = re.search(rf"^{re.escape(series)} (\S+)$", answer.text, re.MULTILINE)
        return None if found is None else float(found[1])

    return read


def test_requests_are_counted_by_route_and_never_by_address(visitor, client, scrape):
    for user in ("a", "b", "c"):
        visitor.get(f"/users/{user}")
        client.get(f"/nothing/{user}")
    visitor.client.request("BREW", "/livez")
    count = "marquee_http_request_duration_seconds_count"
    assert scrape(f'{count}{{method="GET",route="/users/{{user_id}}",status="403"}}') == 3
    assert scrape(f'{count}{{method="GET",route="none",status="404"}}') == 3
    assert scrape(f'{count}{{method="other",route="/livez",status="405"}}') == 1


def test_queues_are_told_by_depth_and_age(connection, scrape):
    for user_id in "abc":
        tasks.submit(RecommendPayload(user_id=user_id), owner="alice").run(connection)
    claims.claim_next("interactive", lease_owner="w", lease_seconds=30, limit=1).run(connection)
    connection.execute("UPDATE tasks SET available_at = now() - interval '90 s' WHERE state = 'queued'")
    assert scrape('marquee_queue_tasks{queue="interactive",state="queued"}') == 2
    assert scrape('marquee_queue_tasks{queue="interactive",state="running"}') == 1
    assert scrape('marquee_queue_tasks{queue="train",state="queued"}') == 0
    assert 90 <= scrape('marquee_queue_oldest_age_seconds{queue="interactive"}') < 120


def test_a_task_that_waits_for_its_retry_is_not_old(connection, scrape):
    tasks.submit(RecommendPayload(user_id="a"), owner="alice").run(connection)
    connection.execute("UPDATE tasks SET available_at = now() + interval '90 s'")
    assert scrape('marquee_queue_oldest_age_seconds{queue="interactive"}') == 0


def test_the_dispatcher_is_told_by_its_last_pass(scrape):
    age = scrape("marquee_dispatcher_pass_age_seconds")
    assert 0 <= age < 10 or age == float("inf"), "infinite before the first pass"


def test_methods_that_nobody_knows_share_a_label():
    metrics = Metrics()
    for method in ("BREW", "WHEN"):
        metrics.observe_request(method=method, route=None, status=405, seconds=0.1)
    assert 'count{method="other",route="none",status="405"} 2.0' in metrics.render().decode()
