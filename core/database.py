"""Engines, pools and transactions: the only place that commits."""

import select
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from psycopg import AsyncConnection, Connection
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

T = TypeVar("T")

Pool = ConnectionPool[Connection[Any]]
AsyncPool = AsyncConnectionPool[AsyncConnection[Any]]
AnyConnection = Connection[Any] | AsyncConnection[Any]

CONNECTION_TIMEOUT_SECONDS = 5.0
PULSE_SECONDS = 5.0
"""So long a connection that was found alive is not asked again."""


def make_engine(url: str, *, max_size: int = 10) -> AsyncEngine:
    """The app's SQLModel engine; `url` as PostgreSQL tools write it."""
    return create_async_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1), pool_size=max_size, max_overflow=0, pool_pre_ping=True
    )


def make_pool(url: str, *, max_size: int = 10) -> Pool:
    """A closed pool of psycopg connections; open it as a context manager.

    A statement outside a transaction is one round trip, for nothing is begun for it.
    """
    return ConnectionPool(
        url,
        kwargs={"autocommit": True},
        min_size=1,
        max_size=max_size,
        open=False,
        timeout=CONNECTION_TIMEOUT_SECONDS,
        check=_Pulse().check,
    )


def make_async_pool(url: str, *, max_size: int = 10) -> AsyncPool:
    """`make_pool` for the event loop, which gives out the connection that came back last."""
    return _LastInFirstOut(
        url,
        kwargs={"autocommit": True},
        min_size=1,
        max_size=max_size,
        open=False,
        timeout=CONNECTION_TIMEOUT_SECONDS,
        check=_Pulse().check_async,
    )


class _Stack(deque[T]):
    append = deque.appendleft


class _LastInFirstOut(AsyncConnectionPool[AsyncConnection[Any]]):
    """psycopg's pool takes turns, so that each request meets another process of PostgreSQL, whose plans and pages no cache holds any more.

    Here who asks one thing after the other has one connection at work. There is no parameter for it: a test says when this stops working.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._pool = _Stack()


class _Pulse:
    """Which connections are to be asked whether they are alive: those with which nothing was heard for a while, and the ended ones.

    A server that ends a connection says so, which makes its socket readable; only silence on the way there takes a question.
    """

    def __init__(self) -> None:
        self._asked: WeakKeyDictionary[AnyConnection, float] = WeakKeyDictionary()

    def check(self, connection: Connection[Any]) -> None:
        """For a pool of the worker; raises if the connection is dead."""
        if self._is_doubtful(connection):
            ConnectionPool.check_connection(connection)
            self._asked[connection] = time.monotonic()

    async def check_async(self, connection: AsyncConnection[Any]) -> None:
        """For a pool of the app; raises if the connection is dead."""
        if self._is_doubtful(connection):
            await AsyncConnectionPool.check_connection(connection)
            self._asked[connection] = time.monotonic()

    def _is_doubtful(self, connection: AnyConnection) -> bool:
        return time.monotonic() - self._asked.get(connection, -PULSE_SECONDS) >= PULSE_SECONDS or _has_news(connection)


def _has_news(connection: AnyConnection) -> bool:
    if connection.closed:
        return True
    news = select.poll()
    news.register(connection.fileno(), select.POLLIN)
    return bool(news.poll(0))


@contextmanager
def transaction(pool: Pool) -> Iterator[Connection[Any]]:
    """A connection whose work is committed when the block ends and rolled back when it raises."""
    with pool.connection() as connection, connection.transaction():
        yield connection


@asynccontextmanager
async def async_transaction(pool: AsyncPool) -> AsyncIterator[AsyncConnection[Any]]:
    """`transaction` for the event loop."""
    async with pool.connection() as connection, connection.transaction():
        yield connection


@asynccontextmanager
async def session_transaction(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    """An `AsyncSession` whose work is committed when the block ends and rolled back when it raises."""
    async with AsyncSession(engine, expire_on_commit=False) as session:
        yield session
        await session.commit()
