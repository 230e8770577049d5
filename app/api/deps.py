"""What endpoints ask for, as types: sessions, connections, the account that speaks and what it may do."""

import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import BackgroundTasks, Depends, Request
from fastapi.security import OAuth2PasswordBearer
from psycopg import AsyncConnection
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel.ext.asyncio.session import AsyncSession

from app.actor import Actor
from app.changes import ListChanges, TaskChanges
from app.dispatcher import Dispatcher
from app.errors import Forbidden, NotAuthenticated
from app.gauges import QueueGauges
from app.metrics import Metrics
from app.notifications import FinishedTasks
from app.publisher import Publisher
from app.quota import QueueQuota
from app.security import AccessTokens, Passwords
from app.services import accounts
from app.services.accounts import Role, SignedIn
from app.services.tasks import Viewer
from app.settings import AppSettings
from app.sign_in_limit import SignInLimit
from core import failpoints
from core.artifacts import ArtifactStore
from core.database import AsyncPool, async_transaction, session_transaction
from core.statement import Statement
from core.topology import QueueName

T = TypeVar("T")

PREFIX = "/api/v1"

oauth2 = OAuth2PasswordBearer(
    tokenUrl=f"{PREFIX}/auth/token",
    scheme_name="account",
    description="Sign in with the e-mail address (as username) and password of an account.",
    auto_error=False,
)


@dataclass(frozen=True, slots=True)
class Services:
    """What lives as long as the process; made by `main`."""

    settings: AppSettings
    engine: AsyncEngine
    pool: AsyncPool
    passwords: Passwords
    access_tokens: AccessTokens
    finished: FinishedTasks
    changes: TaskChanges
    list_changes: ListChanges
    quota: QueueQuota
    sign_ins: SignInLimit
    artifacts: ArtifactStore
    dispatcher: Dispatcher
    publisher: Publisher | None
    metrics: Metrics
    gauges: QueueGauges


def services_of(request: Request) -> Services:
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


# Coroutines, though they wait for nothing: plain functions would each be run in a thread, which takes longer than what they do.
async def get_process(request: Request) -> Services:
    return services_of(request)


Process = Annotated[Services, Depends(get_process)]


async def get_correlation_id(request: Request) -> str:
    return str(request.scope["correlation_id"])


CorrelationId = Annotated[str, Depends(get_correlation_id)]


async def get_session(process: Process) -> AsyncIterator[AsyncSession]:
    async with session_transaction(process.engine) as session:
        yield session


# scope="function": committed before the answer is sent, so that a commit that fails is not answered with success.
Session = Annotated[AsyncSession, Depends(get_session, scope="function")]


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whoever shows a valid access token. Whether it is an account's still says the database: alone, or along with what is to be read."""

    services: Services
    account_id: uuid.UUID
    correlation_id: str

    async def account(self) -> SignedIn:
        """The account that speaks. Raises `NotAuthenticated`."""
        return self._known(await self._run(accounts.find_signed_in(self.account_id)))

    async def account_beside(self, asked: Statement[T]) -> tuple[SignedIn, T]:
        """The account, and what a statement of at most one row finds. Raises `NotAuthenticated`."""
        return self._known(await self._run(accounts.find_signed_in_beside(self.account_id, asked)))

    async def _run(self, statement: Statement[T]) -> T:
        async with self.services.pool.connection() as connection:
            return await statement.run_async(connection)

    @staticmethod
    def _known(found: T | None) -> T:
        if found is None:
            raise NotAuthenticated("The account of this access token is gone or no longer active.")
        return found


async def get_bearer(request: Request, token: Annotated[str | None, Depends(oauth2)]) -> Bearer:
    if token is None:
        raise NotAuthenticated("Send the header `Authorization: Bearer <access token>`.")
    services = services_of(request)
    return Bearer(services, services.access_tokens.account_id(token), str(request.scope["correlation_id"]))


CurrentBearer = Annotated[Bearer, Depends(get_bearer)]


async def get_account(bearer: CurrentBearer) -> SignedIn:
    return await bearer.account()


CurrentAccount = Annotated[SignedIn, Depends(get_account)]


def require(*roles: Role) -> Callable[[SignedIn], Coroutine[Any, Any, SignedIn]]:
    """A dependency that lets only these roles pass."""

    async def get_permitted(account: CurrentAccount) -> SignedIn:
        if account.role not in roles:
            raise Forbidden(f"This takes the role {' or '.join(roles)}; the account has the role {account.role}.")
        return account

    return get_permitted


Operator = Annotated[SignedIn, Depends(require("service", "admin"))]
Administrator = Annotated[SignedIn, Depends(require("admin"))]


async def get_actor(account: Administrator, correlation_id: CorrelationId) -> Actor:
    return Actor(str(account.id), correlation_id)


By = Annotated[Actor, Depends(get_actor)]
"""The administrator, as the audit trail has it."""


# Both depend on the account, so that it is looked up before a connection is held: holding one while waiting for
# another is how a pool locks itself up.
async def get_connection(process: Process, _account: CurrentAccount) -> AsyncIterator[AsyncConnection[Any]]:
    async with process.pool.connection() as connection:
        yield connection


async def get_transaction(process: Process, _account: CurrentAccount) -> AsyncIterator[AsyncConnection[Any]]:
    async with async_transaction(process.pool) as connection:
        yield connection


Connection = Annotated[AsyncConnection[Any], Depends(get_connection, scope="function")]
Transaction = Annotated[AsyncConnection[Any], Depends(get_transaction, scope="function")]


@dataclass(frozen=True, slots=True)
class Ringing:
    """Rings the broker for a task when the answer has been sent, and so after the commit."""

    publisher: Publisher | None
    background: BackgroundTasks

    @property
    def is_on(self) -> bool:
        """Whether there is a broker that takes rings now; otherwise the database rings."""
        return self.publisher is not None and self.publisher.is_connected

    def ring(self, queue: QueueName, task_id: uuid.UUID) -> None:
        """Ring for a task that was submitted with `is_rung`; a ring too many does no harm."""
        if self.publisher is not None:
            self.background.add_task(_ring, self.publisher, queue, task_id, time.monotonic())


async def _ring(publisher: Publisher, queue: QueueName, task_id: uuid.UUID, due_at: float) -> None:
    failpoints.reach("before_ring")
    publisher.ring(queue, task_id, due_at=due_at)  # in the event loop: a plain function would be run in a thread


async def get_ringing(process: Process, background: BackgroundTasks) -> Ringing:
    return Ringing(process.publisher, background)


Bell = Annotated[Ringing, Depends(get_ringing)]


def viewer_of(account: SignedIn) -> Viewer | None:
    """Whose tasks the account sees; None for everybody's."""
    return None if acts_for_anybody(account) else Viewer(owner=str(account.id), user_id=account.user_id)


def quota_of(account: SignedIn, process: Services) -> QueueQuota | None:
    """What keeps the account from filling the queues; nothing keeps an administrator, who is there to put things right."""
    return None if account.role == "admin" else process.quota


def acts_for_anybody(account: SignedIn) -> bool:
    """Whether the account may read and write what belongs to other users."""
    return account.role in {"service", "admin"}


def check_may_act_for(account: SignedIn, user_id: str) -> None:
    """Raise `Forbidden` unless the account may read and write what belongs to the user."""
    if not acts_for_anybody(account) and user_id != account.user_id:
        raise Forbidden(f"This account acts for its own user {account.user_id!r} only, not for {user_id!r}.")
