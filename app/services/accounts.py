"""Accounts: who signs in, and the chain of refresh tokens that keeps somebody signed in."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any, Final, Literal, LiteralString, TypeVar

from psycopg import AsyncConnection
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.addresses import normalized_email
from app.errors import CredentialsWrong, EmailTaken, RefreshTokenRefused
from app.security import Passwords, new_refresh_token, token_hash
from core.database import AsyncPool, async_transaction
from core.statement import Row, Statement, first_or_none, nothing
from core.tables import Account, User

T = TypeVar("T")

Role = Literal["user", "service", "admin"]

ADMIN_LOCK: Final = 7_274_001  # a number that nothing else in this database locks


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The account a request speaks for, with the name of the user it is linked to."""

    id: uuid.UUID
    email: str
    role: Role
    user_id: str | None
    name: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What it takes to make an account; the password is hashed already."""

    email: str
    password_hash: str
    role: Role = "user"
    name: str | None = None
    preferred_categories: Sequence[str] = ()


async def create_account(session: AsyncSession, new: NewAccount, *, user_id: str | None = None) -> SignedIn:
    """Make an account and the user it is linked to. Raises `EmailTaken`."""
    user = User(id=user_id or f"u-{uuid.uuid4().hex[:12]}", name=new.name, preferred_categories=list(new.preferred_categories))
    account = Account(email=new.email, password_hash=new.password_hash, role=new.role, user_id=user.id)
    session.add(user)
    await session.flush()
    session.add(account)
    try:
        await session.flush()
    except IntegrityError as error:
        raise EmailTaken(new.email) from error
    await session.refresh(account)
    return SignedIn(account.id, account.email, new.role, account.user_id, user.name, account.created_at)


async def ensure_admin(session: AsyncSession, passwords: Passwords, *, email: str, password: str) -> bool:
    """Make the first administrator unless the account exists, whatever it is by now; whether it was made."""
    # Copies of the app that start together take turns.
    await session.exec(select(func.pg_advisory_xact_lock(ADMIN_LOCK)))
    if await _find_account(session, email) is not None:
        return False
    is_free = await session.get(User, "admin") is None
    new = NewAccount(email=email, password_hash=await passwords.hash(password), role="admin", name="Administrator")
    await create_account(session, new, user_id="admin" if is_free else None)
    return True


async def authenticate(session: AsyncSession, passwords: Passwords, *, email: str, password: str) -> uuid.UUID:
    """The id of the active account with this e-mail address and password. Raises `CredentialsWrong`, always after the same work."""
    account = await _find_account(session, _normalized(email))
    stored = account.password_hash if account is not None and account.is_active else None
    is_right = await passwords.verify(password, stored)
    if account is None or not is_right:
        raise CredentialsWrong
    return account.id


def _normalized(email: str) -> str:
    try:
        return normalized_email(email)
    except ValueError:
        return email  # nobody's, which the caller finds out after the same work as for anybody's


async def _find_account(session: AsyncSession, email: str) -> Account | None:
    return (await session.exec(select(Account).where(func.lower(col(Account.email)) == func.lower(email)))).first()


_SIGNED_IN: LiteralString = """
SELECT accounts.id AS account_id, email AS account_email, role AS account_role, user_id AS account_user_id, users.name AS account_name,
       accounts.created_at AS account_created_at
FROM accounts LEFT JOIN users ON users.id = user_id
WHERE accounts.id = %(account_id)s AND is_active
"""
# Nothing is looked for on behalf of an account that is none; should names clash, the account's stand.
_SIGNED_IN_BESIDE: LiteralString = """
SELECT found.*, account.* FROM ({account}) AS account
LEFT JOIN LATERAL (SELECT true AS is_found, asked.* FROM ({asked}) AS asked) AS found ON true
""".replace("{account}", _SIGNED_IN)
_SIGNED_IN_FIELDS: Final = tuple(field.name for field in fields(SignedIn))


def find_signed_in(account_id: uuid.UUID) -> Statement[SignedIn | None]:
    """The account of a verified token; None if it is gone or no longer active."""
    return Statement(_SIGNED_IN, {"account_id": account_id}, lambda rows: _signed_in(rows[0]) if rows else None)


def find_signed_in_beside(account_id: uuid.UUID, asked: Statement[T]) -> Statement[tuple[SignedIn, T] | None]:
    """`find_signed_in` and a statement that finds at most one row, in one round trip."""

    def read(rows: list[Row]) -> tuple[SignedIn, T] | None:
        if not rows:
            return None
        row = rows[0]
        return _signed_in(row), asked.read([row] if row.pop("is_found") else [])

    return Statement(_beside(asked.sql), {**asked.params, "account_id": account_id}, read, binary=asked.binary)


@cache
def _beside(sql: LiteralString) -> LiteralString:
    return _SIGNED_IN_BESIDE.replace("{asked}", sql)


def _signed_in(row: Row) -> SignedIn:
    return SignedIn(**{name: row.pop(f"account_{name}") for name in _SIGNED_IN_FIELDS})


_USE = """
UPDATE refresh_tokens SET used_at = clock_timestamp()
FROM accounts
WHERE token_hash = %(token_hash)s AND used_at IS NULL AND revoked_at IS NULL AND expires_at > clock_timestamp()
  AND accounts.id = account_id AND accounts.is_active
RETURNING family_id, account_id
"""

# What is long expired is of no use even as evidence of reuse; the account's own old links go with each new one.
_ADD = """
WITH swept AS (
    DELETE FROM refresh_tokens WHERE account_id = %(account_id)s AND expires_at < clock_timestamp() - interval '1 day'
)
INSERT INTO refresh_tokens (token_hash, family_id, account_id, expires_at)
VALUES (%(token_hash)s, %(family_id)s, %(account_id)s, clock_timestamp() + %(days)s * interval '1 day')
"""

# Two statements: the second must see what whoever held the lock has added to the family.
_LOCK_FAMILY = "SELECT family_id FROM refresh_tokens WHERE token_hash = %(token_hash)s FOR UPDATE"
_REVOKE_FAMILY = "UPDATE refresh_tokens SET revoked_at = clock_timestamp() WHERE family_id = %(family_id)s AND revoked_at IS NULL"


async def start_family(pool: AsyncPool, account_id: uuid.UUID, *, days: int) -> str:
    """The first refresh token after somebody signed in."""
    async with async_transaction(pool) as connection:
        return await _add_link(connection, account_id=account_id, family_id=uuid.uuid4(), days=days)


async def rotate(pool: AsyncPool, token: str, *, days: int) -> tuple[uuid.UUID, str]:
    """Use a refresh token up: its account and the next token. One that was used before ends its family.

    Raises `RefreshTokenRefused`.
    """
    async with async_transaction(pool) as connection:
        used = await Statement(_USE, {"token_hash": token_hash(token)}, first_or_none).run_async(connection)
        if used is not None:
            return used["account_id"], await _add_link(connection, **used, days=days)
        await _revoke_family(connection, token)
    raise RefreshTokenRefused  # after the commit: the revocation has to last


async def end_family(pool: AsyncPool, token: str) -> None:
    """Sign out: no token of the family is good any more. Unknown tokens are none of anybody's business."""
    async with async_transaction(pool) as connection:
        await _revoke_family(connection, token)


async def _add_link(connection: AsyncConnection[Any], *, account_id: uuid.UUID, family_id: uuid.UUID, days: int) -> str:
    token = new_refresh_token()
    params = {"token_hash": token_hash(token), "family_id": family_id, "account_id": account_id, "days": days}
    await Statement(_ADD, params, nothing).run_async(connection)
    return token


async def _revoke_family(connection: AsyncConnection[Any], token: str) -> None:
    family: Row | None = await Statement(_LOCK_FAMILY, {"token_hash": token_hash(token)}, first_or_none).run_async(connection)
    if family is not None:
        await Statement(_REVOKE_FAMILY, family, nothing).run_async(connection)
