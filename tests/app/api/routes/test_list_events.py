"""Hearing of new lists as server-sent events, over real connections."""

import json
import uuid

import httpx2
import pytest

from app.main import create_app
from core import lists
from tests.app.api.routes.test_task_events import serving
from tests.rigs.lists import Entry, Reason, packed


@pytest.fixture
def store(connection, films):
    """Store a list, as a worker does."""

    def run(user_id, *item_ids):
        entries = packed(connection, [Entry(item_id, 1.0, "personal", Reason("popular")) for item_id in item_ids])
        made = lists.ComputedList(user_id, uuid.uuid4(), None, entries, is_cold=False, history_count=0)
        with connection.transaction():
            lists.write([made]).run(connection)
            lists.notify_written([user_id]).run(connection)
        return str(made.list_id)

    return run


def heard(answer):
    """The events of the stream, as `(id, data)`."""
    told = {}
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if not line and "data" in told:
            yield told.pop("id"), json.loads(told.pop("data"))
        elif name:
            told[name] = value


def test_new_lists_are_told_and_those_seen_are_not_told_again(settings, store, visitor):
    first = store(visitor.user_id, "m1")
    path = f"/recommendations/{visitor.user_id}/events"
    with serving(create_app(settings)) as (url, _), httpx2.Client(timeout=20) as client:
        with client.stream("GET", f"{url}{path}", headers=visitor.headers) as answer:
            events = heard(answer)
            seen, told = next(events)
            assert (told["list_id"], told["user_id"]) == (first, visitor.user_id)
            second = store(visitor.user_id, "m2")
            assert next(events)[1]["list_id"] == second
            events.close()
        with client.stream("GET", f"{url}{path}", headers={**visitor.headers, "Last-Event-ID": seen}) as answer:
            events = heard(answer)
            assert next(events)[1]["list_id"] == second, "the first is not told again"
            events.close()


def test_lists_are_followed_by_their_user_and_of_users_that_exist(visitor, service, sign_up):
    assert sign_up("user").get(f"/recommendations/{visitor.user_id}/events").status_code == 403
    assert service.get("/recommendations/nobody/events").status_code == 404
