"""Engines, pools and transactions: the only place that commits."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from psycopg import AsyncConnection, Connection
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

Pool = ConnectionPool[Connection[Any]]
AsyncPool = AsyncConnectionPool[AsyncConnection[Any]]

CONNECTION_TIMEOUT_SECONDS = 5.0


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
        check=ConnectionPool.check_connection,
    )


def make_async_pool(url: str, *, max_size: int = 10) -> AsyncPool:
    """`make_pool` for the event loop."""
    return AsyncConnectionPool(
        url,
        kwargs={"autocommit": True},
        min_size=1,
        max_size=max_size,
        open=False,
        timeout=CONNECTION_TIMEOUT_SECONDS,
        check=AsyncConnectionPool.check_connection,
    )


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
