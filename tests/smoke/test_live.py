"""The API that serves in this container is well; nothing is written."""


def test_it_is_alive_and_ready(live):
    assert live.get("/livez").json()["status"] == "ok"
    ready = live.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]["database"]) == (200, "ok"), ready.text


def test_it_describes_itself_without_the_internet(live):
    assert "/api/v1/tasks" in live.get("/openapi.json").json()["paths"]
    page = live.get("/docs")
    assert page.status_code == 200
    assert "//cdn" not in page.text


def test_it_counts(live):
    assert "marquee_http_request_duration_seconds_count" in live.get("/metrics").text
