"""Where a scenario plays: private servers, the product's processes, clients, and everything the nemesis can do to them."""

import os
import random
import secrets
import signal
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

import psycopg
from psycopg import Connection

from app.security import AccessTokens
from tests.faults import witness
from tests.faults.clients import Order, submit_all
from tests.faults.entries import Entry, launch, serve, work
from tests.faults.invariants import Verdict, judge
from tests.faults.rings import Broker
from tests.rigs.ports import free_port
from tests.rigs.postgres import KillablePostgres
from tests.rigs.rabbitmq import PrivateRabbitMQ

TICK_SECONDS = 0.03
LEASE_SECONDS = 1.0
FROZEN_SECONDS = 3.5  # past the lease, past the dispatcher's next look, and time for another worker to take over
DRAIN_SECONDS = 120.0
STOP_SECONDS = 15.0
NOTICE_SECONDS = 30.0  # a busy broker, or one that was frozen, takes seconds to see who has left, and gives his rings back only then
OWNERS = 3

Bell = Literal["broker", "absent broker", "database"]


@dataclass
class Actor:
    """A process of the product: started again when it ends, until it is let go."""

    entry: Entry
    environment: dict[str, str]
    process: BaseProcess
    is_wanted: bool = True


@dataclass
class Stage:
    """One scenario on a fresh database; used from one thread, which must call `tend` often."""

    folder: Path
    postgres: KillablePostgres
    broker: Broker
    rabbitmq: PrivateRabbitMQ | None
    dice: random.Random
    bell: Bell
    url: str
    actors: list[Actor] = field(default_factory=list)
    orders: list[tuple[Order, BaseProcess]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    ports: tuple[int, ...] = ()
    tokens: tuple[str, ...] = ()
    secret: str = field(default_factory=lambda: secrets.token_hex(32))
    _stopped: dict[int, float] = field(default_factory=dict)
    _seen: int = 0

    @property
    def node(self) -> PrivateRabbitMQ:
        """The broker's process."""
        assert self.rabbitmq is not None
        return self.rabbitmq

    # What the play is made of

    def start_apps(self, count: int = 1, *, failpoints: str = "") -> None:
        """Copies of the API, each with its own dispatcher."""
        for _ in range(count):
            port = free_port()
            self.ports = (*self.ports, port)
            self._start(serve, {"API_PORT": str(port), "JWT_SECRET": self.secret, "FAILPOINTS": failpoints})

    def start_workers(self, count: int = 2, *, failpoints: str = "", entry: Entry = work, **environment: str) -> list[Actor]:
        """Workers for the interactive queue."""
        return [self._start(entry, {"FAILPOINTS": failpoints, **environment}) for _ in range(count)]

    def order(self, count: int, **options: Any) -> None:
        """Let clients submit so many tasks."""
        name = f"order-{len(self.orders)}"
        order = Order(
            self.ports, self.tokens, self.folder / f"{name}.acknowledged", name, count, seed=str(self.dice.random()), **options
        )  # fmt: skip
        self.orders.append((order, launch(_Submit(order), {}, folder=self.folder, log=self.folder / "clients.log")))

    def acknowledged(self) -> dict[str, uuid.UUID]:
        """Every idempotency key that was acknowledged, with the id the client was told."""
        lines = (
            line.split() for order, _ in self.orders if order.acknowledged.exists() for line in order.acknowledged.read_text().splitlines()
        )
        return {key: uuid.UUID(task_id) for key, task_id in lines}

    @property
    def is_ordering(self) -> bool:
        """Whether clients are still at it."""
        return any(process.is_alive() for _, process in self.orders)

    @property
    def is_anyone_frozen(self) -> bool:
        """Whether a process stands still that `tend` will let go on."""
        return bool(self._stopped)

    def query(self, sql: str) -> list[Any]:
        """Rows of the scenario's database."""
        with self.connect() as connection:
            return connection.execute(sql).fetchall()

    def has_nothing_open(self) -> bool:
        """Whether every task has ended."""
        with suppress(psycopg.OperationalError):
            return self.query("SELECT count(*) FROM tasks WHERE state IN ('queued', 'running')") == [(0,)]
        return False

    @contextmanager
    def connect(self) -> Iterator[Connection[Any]]:
        """A connection on which every statement is a transaction."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            yield connection

    # Time

    def tend(self) -> None:
        """Start again what ended, and let go on what was frozen long enough."""
        for actor in self.actors:
            if actor.is_wanted and not actor.process.is_alive():
                self._note_end(actor)
                actor.process = self._launch(actor.entry, actor.environment)
        self._thaw(after_seconds=FROZEN_SECONDS)

    def play(self, seconds: float, *, until: Callable[[], bool] = lambda: False) -> bool:
        """Let things happen for some seconds, or until something has; whether it has."""
        deadline = time.monotonic() + seconds
        while not (is_reached := until()) and time.monotonic() < deadline:
            self.tend()
            time.sleep(TICK_SECONDS)
        return is_reached

    # The nemesis

    def kill(self, actor: Actor) -> None:
        """kill −9 from outside."""
        with suppress(ProcessLookupError):
            os.kill(actor.process.pid or 0, signal.SIGKILL)

    def freeze(self, actor: Actor) -> None:
        """Stop it in its tracks, unless it has just died; `tend` lets it go on when its leases are over."""
        assert actor.process.pid is not None
        with suppress(ProcessLookupError):
            os.kill(actor.process.pid, signal.SIGSTOP)
            self.counts["frozen"] += 1
            self._stopped[actor.process.pid] = time.monotonic()

    def end(self, actor: Actor, *, signals: int = 1) -> None:
        """SIGTERM, once or twice; it must exit with 0."""
        actor.is_wanted = False
        for _ in range(signals):
            with suppress(ProcessLookupError):  # it may need no second one
                os.kill(actor.process.pid or 0, signal.SIGTERM)
            time.sleep(0.3 if signals > 1 else 0)  # two at once are one
        actor.process.join(STOP_SECONDS)
        self.counts["ended"] += 1
        if actor.process.exitcode != 0:
            self.wrong.append(f"{actor.entry.__name__} ended with {actor.process.exitcode} after SIGTERM")
            self.kill(actor)
        self.actors.remove(actor)

    # The end

    def drain(self) -> None:
        """Calm everything down and wait until there is nothing left to do."""
        for actor in [actor for actor in self.actors if actor.environment["FAILPOINTS"]]:
            self.kill(actor)
            actor.process.join()
            actor.environment = {**actor.environment, "FAILPOINTS": ""}
            actor.process = self._launch(actor.entry, actor.environment)
        self._thaw(after_seconds=0)
        if not self.play(DRAIN_SECONDS, until=lambda: not self.is_ordering):
            self.wrong.append(f"clients were not through after {DRAIN_SECONDS:g} s")
        self.wrong += [f"{order.name} ended with {process.exitcode}" for order, process in self.orders if process.exitcode != 0]
        self.play(DRAIN_SECONDS, until=self.has_nothing_open)
        if self.bell == "broker" and not self.play(STOP_SECONDS, until=lambda: self.broker.ready_count() == 0):
            self.wrong.append("rings were left in the broker")

    def leave(self) -> None:
        """End every process as a deployment would; I4: then nothing is left in the broker."""
        for app in [actor for actor in self.actors if actor.entry is serve]:  # first, because they still ring
            self.end(app)
        self._end_workers()
        deadline = time.monotonic() + NOTICE_SECONDS
        while self.bell == "broker" and (left := self.broker.ready_count()) != 0:
            if time.monotonic() > deadline:
                self.wrong.append(f"{left} rings were left in the broker")
                return
            self._clear_up()

    def _clear_up(self) -> None:
        """Rings that came late and were given back: whoever works next takes them for stale."""
        self.start_workers(1)
        self.play(STOP_SECONDS, until=lambda: self.broker.ready_count() == 0)
        self.play(1)
        self._end_workers()

    def _end_workers(self) -> None:
        for worker in list(self.actors):
            self.end(worker)

    def judge(self, *, dead_rings: int = 0) -> Verdict:
        """What the invariants say, and what went wrong on the way."""
        with self.connect() as connection:
            verdict = judge(connection, self.acknowledged())
        verdict.other += self.wrong
        if self.bell == "broker" and (found := self.broker.dead_count()) != dead_rings:
            reasons = ", ".join(f"{reason} {count}" for reason, count in self.broker.death_reasons().items())
            verdict.other.append(f"{found} dead rings, not {dead_rings} ({reasons})")
        return verdict

    def abandon(self) -> None:
        """Kill whatever is left."""
        for process in [actor.process for actor in self.actors] + [process for _, process in self.orders]:
            if process.is_alive():
                process.kill()
            process.join()
        self.actors.clear()

    def _start(self, entry: Entry, environment: Mapping[str, str]) -> Actor:
        actor = Actor(entry, {**self._common(), **environment}, self._launch(entry, {**self._common(), **environment}))
        self.actors.append(actor)
        return actor

    def _common(self) -> dict[str, str]:
        nowhere = f"amqp://guest:guest@127.0.0.1:{free_port()}/"
        rabbitmq_url = {"broker": self.broker.url, "absent broker": nowhere, "database": ""}[self.bell]
        return {
            "DATABASE_URL": self.url,
            "RABBITMQ_URL": rabbitmq_url,
            "ARTIFACTS_URL": str(self.folder / "artifacts"),
            "WORKER_QUEUES": "interactive",
            "LEASE_SECONDS": str(LEASE_SECONDS),
        }

    def _launch(self, entry: Entry, environment: Mapping[str, str]) -> BaseProcess:
        self.counts["started"] += 1
        log = self.folder / f"{entry.__name__}.log"
        return launch(entry, {**environment, "FAILPOINT_SEED": str(self.dice.random())}, folder=self.folder, log=log)

    def _note_end(self, actor: Actor) -> None:
        code = actor.process.exitcode
        self._stopped.pop(actor.process.pid or 0, None)
        if code == -signal.SIGKILL:
            self.counts["kills"] += 1
        elif not (actor.entry is serve and code == 1):  # which is what it says when the database is away at its start
            self.wrong.append(f"{actor.entry.__name__} ended by itself with {code}")

    def _thaw(self, *, after_seconds: float) -> None:
        log = self.folder / "failpoints.log"
        lines = log.read_text().splitlines() if log.exists() else []
        for action, point, pid in (line.split() for line in lines[self._seen :]):
            self.counts[f"{action} at {point}"] += 1
            if action == "stop":
                self.counts["frozen"] += 1
                self._stopped[int(pid)] = time.monotonic()
        self._seen = len(lines)
        for pid, since in list(self._stopped.items()):
            if time.monotonic() >= since + after_seconds:
                del self._stopped[pid]
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


@dataclass(frozen=True)
class _Submit:
    """`submit_all` with its order, as an entry."""

    order: Order

    def __call__(self) -> None:
        submit_all(self.order)


@contextmanager
def staged(folder: Path, *, postgres: KillablePostgres, rabbitmq: PrivateRabbitMQ | None, bell: Bell, seed: str) -> Iterator[Stage]:
    """A stage with a fresh database and empty queues, cleared at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    broker = Broker(rabbitmq.url if rabbitmq else "")
    if bell == "broker":
        broker.clear()
    stage = Stage(folder, postgres, broker, rabbitmq, random.Random(seed), bell, postgres.fresh_database())
    with stage.connect() as connection:
        witness.prepare(connection)
        stage.tokens = tuple(_sign_in(connection, stage.secret) for _ in range(OWNERS))
    try:
        yield stage
    finally:
        stage.abandon()


def _sign_in(connection: Connection[Any], secret: str) -> str:
    account_id = uuid.uuid4()
    connection.execute(
        "INSERT INTO accounts (id, email, password_hash, role) VALUES (%s, %s, 'x', 'service')", (account_id, f"{account_id}@example.org")
    )
    return AccessTokens(secret, lifetime_seconds=86_400).issue(account_id)
