"""From an event to the changed list, and reading stored lists: through HTTP, RabbitMQ, the worker and PostgreSQL, as a client sees it."""

import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import httpx2

from benchmarks.frame import Case, Measure
from benchmarks.product import LARGE, Product, running

LOAD_PER_SECOND = 50

Prepare = Callable[[bool], AbstractContextManager[tuple[Measure, Measure]]]


def _quantile(figures: list[float], percent: int) -> float:
    return statistics.quantiles(figures, n=100)[percent - 1]


def _clicks(product: Product, count: int, *, is_new: bool = False) -> list[float]:
    """Milliseconds of so many clicks, each of another user, at moments apart."""
    draw = random.Random(1)
    found = []
    for _ in range(count):
        user_id = product.register() if is_new else draw.choice(product.interactions.user_ids)
        found.append(product.click(user_id, draw.choice(product.interactions.item_ids)))
        time.sleep(draw.uniform(0, 0.05))
    return found


def _pings(product: Product, count: int) -> list[float]:
    return [_timed(lambda: product.client.get("/auth/me")) for _ in range(count)]


def _timed(ask: Callable[[], httpx2.Response]) -> float:
    started = time.perf_counter()
    ask().raise_for_status()
    return (time.perf_counter() - started) * 1000


def _click_case(percent: int, *, is_new: bool, is_large: bool = False) -> Prepare:
    @contextmanager
    def prepare(quick: bool) -> Iterator[tuple[Measure, Measure]]:
        count = 40 if quick else 200
        with running(quick, is_large=is_large) as product:
            yield (
                lambda: _quantile(_clicks(product, count, is_new=is_new), percent),
                lambda: _quantile(_pings(product, count), percent),
            )

    return prepare


@contextmanager
def _loaded(quick: bool) -> Iterator[tuple[Measure, Measure]]:
    count = 40 if quick else 200
    with running(quick) as product:

        def under_load() -> float:
            stopping = threading.Event()
            thread = threading.Thread(target=_send_events, args=(product, stopping))
            thread.start()
            try:
                return _quantile(_clicks(product, count), 95)
            finally:
                stopping.set()
                thread.join()

        yield under_load, lambda: _quantile(_clicks(product, count), 95)


def _send_events(product: Product, stopping: threading.Event) -> None:
    draw, due = random.Random(2), time.monotonic()
    with httpx2.Client(base_url=product.url, headers=product.headers, timeout=30) as client:
        while not stopping.is_set():
            event = {"user_id": draw.choice(product.interactions.user_ids), "item_id": draw.choice(product.interactions.item_ids)}
            client.post("/interactions", json={**event, "type": "view"}).raise_for_status()
            due += 1 / LOAD_PER_SECOND
            time.sleep(max(0.0, due - time.monotonic()))


def _reads(measure: Callable[[list[float]], float], *, is_large: bool = False) -> Prepare:
    @contextmanager
    def prepare(quick: bool) -> Iterator[tuple[Measure, Measure]]:
        count = 200 if quick else 2_000
        with running(quick, is_large=is_large) as product:
            users = product.interactions.user_ids[:50]
            for user_id in users:
                product.client.get(f"/recommendations/{user_id}", params={"fresh": True, "wait": 10}).raise_for_status()

            def stored() -> float:
                paths = [f"/recommendations/{users[number % len(users)]}" for number in range(count)]
                return measure([_timed(lambda path=path: product.client.get(path)) for path in paths])  # type: ignore[misc]

            yield stored, lambda: measure(_pings(product, count))

    return prepare


_CLICKS = (("known", False, "event until a list that knows it is read"), ("new_user", True, "the same for a user registered just before"))
_SIZE = f"{LARGE['users']:,} users × {LARGE['items']:,} items, ALS"


def _rate(found: list[float]) -> float:
    return 1000 / statistics.mean(found)


def _p99(found: list[float]) -> float:
    return _quantile(found, 99)


CASES = [
    *(
        Case(f"freshness.{name}_p{percent}", f"ms, p{percent}", f"{what} ÷ an authenticated ping", _click_case(percent, is_new=is_new))
        for name, is_new, what in _CLICKS
        for percent in (50, 95)
    ),
    Case("freshness.loaded", "ms, p95", "event until its list is read while 50 events a second come in ÷ on an idle system", _loaded),
    Case("freshness.read_rate", "requests/s", "stored lists of 20 ÷ authenticated pings, one client", _reads(_rate)),
    Case("freshness.read_p99", "ms, p99", "a stored list of 20 ÷ an authenticated ping", _reads(_p99)),
    *(
        Case(f"large.{name}_p95", "ms, p95", f"{what} ÷ an authenticated ping; {_SIZE}", _click_case(95, is_new=is_new, is_large=True))
        for name, is_new, what in _CLICKS
    ),
    Case("large.read_rate", "requests/s", f"stored lists of 20 ÷ authenticated pings; {_SIZE}", _reads(_rate, is_large=True)),
]
