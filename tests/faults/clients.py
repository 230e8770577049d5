"""Clients that submit tasks over HTTP until each is acknowledged, whatever happens meanwhile, and remember every acknowledgement."""

import http.client
import json
import os
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.witness import USERS

TIMEOUT_SECONDS = 5.0
MAX_PAUSE_SECONDS = 0.5
IMPATIENT_SECONDS = 1


@dataclass(frozen=True)
class Order:
    """What a process of clients submits: `mix` names users by weight; a share is submitted again, cancelled, or given a deadline."""

    ports: tuple[int, ...]
    tokens: tuple[str, ...]
    acknowledged: Path
    """A line `KEY ID` for each acknowledgement, written before the next request."""
    name: str
    count: int
    seed: str
    mix: tuple[tuple[str, float], ...] = (("plain", 0.96), ("slow", 0.01), ("flaky", 0.01), ("wrong", 0.02))
    per_second: float | None = None
    threads: int = 8
    repeated: float = 0.03
    cancelled: float = 0.01
    impatient: float = 0.01


class NotIdempotent(Exception):
    """One idempotency key named two tasks."""


def submit_all(order: Order) -> None:
    """See the whole order through; exit code 3 if an idempotency key named two tasks, 4 if a request was refused for good."""
    assert all(user in USERS for user, _weight in order.mix)
    numbers = _paced(order)
    lock, failures = threading.Lock(), list[BaseException]()
    descriptor = os.open(order.acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def take() -> int | None:
        with lock:
            return next(numbers, None)

    def submit() -> None:
        client = Client(order, random.Random(f"{order.seed} {threading.current_thread().name}"))
        try:
            while not failures and (number := take()) is not None:
                key = f"{order.name}-{number}"
                task_id = client.submit(key)
                os.write(descriptor, f"{key} {task_id}\n".encode())
                client.meddle(key, task_id)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=submit, name=str(index)) for index in range(order.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        os._exit(3 if isinstance(failures[0], NotIdempotent) else 4)


def _paced(order: Order) -> Iterator[int]:
    started = time.monotonic()
    for number in range(order.count):
        if order.per_second is not None:
            time.sleep(max(0.0, started + number / order.per_second - time.monotonic()))
        yield number


class Client:
    """One connection at a time to one copy of the API, another after each failure."""

    def __init__(self, order: Order, dice: random.Random) -> None:
        self._order = order
        self._dice = dice
        self._connection: http.client.HTTPConnection | None = None

    def submit(self, key: str) -> str:
        """The id of the task that this key names, after as many tries as it takes."""
        dice = random.Random(f"{self._order.seed} {key}")  # the same key has the same body
        users, weights = zip(*self._order.mix, strict=True)
        body: dict[str, Any] = {"kind": "recommend", "payload": {"user_id": dice.choices(users, weights)[0]}}
        if dice.random() < self._order.impatient:
            body["deadline_seconds"] = IMPATIENT_SECONDS
        token = self._order.tokens[dice.randrange(len(self._order.tokens))]
        return str(self._insist("/api/v1/tasks", token, body, key=key)["id"])

    def meddle(self, key: str, task_id: str) -> None:
        """Now and then submit the same again, or cancel it and not care."""
        if self._dice.random() < self._order.repeated and (found := self.submit(key)) != task_id:
            raise NotIdempotent(f"{key} named {task_id} and {found}")
        if self._dice.random() < self._order.cancelled:
            try:
                self._ask(f"/api/v1/tasks/{task_id}/cancel", self._order.tokens[0], None)
            except (OSError, http.client.HTTPException):
                self._hang_up()

    def _insist(self, path: str, token: str, body: object, *, key: str) -> dict[str, Any]:
        pause = 0.02
        while True:
            try:
                status, answer = self._ask(path, token, body, key=key)
            except (OSError, http.client.HTTPException):
                self._hang_up()
            else:
                if status == 202:
                    return json.loads(answer)
                assert status == 429 or status >= 500, f"{status}: {answer!r}"
            time.sleep(pause * self._dice.uniform(0.5, 1.5))
            pause = min(2 * pause, MAX_PAUSE_SECONDS)

    def _ask(self, path: str, token: str, body: object, *, key: str | None = None) -> tuple[int, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._dice.choice(self._order.ports), timeout=TIMEOUT_SECONDS)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        self._connection.request("POST", path, json.dumps(body) if body is not None else None, headers)
        response = self._connection.getresponse()
        return response.status, response.read()

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
