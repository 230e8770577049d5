"""The tables of Marquee, but for those of `core.list_tables`; times are UTC and aware, ids of users and items are the client's choice."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

SQLModel.metadata.naming_convention = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}

NOW = text("clock_timestamp()")
EMPTY_ARRAY = text("'{}'")
EMPTY_OBJECT = text("'{}'::jsonb")
RANDOM_UUID = text("gen_random_uuid()")
WAITING = "state = 'queued' AND dispatched_at IS NULL"


def timestamp(**options: Any) -> Any:
    """A nullable `timestamptz` column."""
    return Field(default=None, sa_column=Column(DateTime(timezone=True), **options))


def written_at() -> Any:
    """A `timestamptz` column that the database fills in when the row is inserted."""
    return timestamp(nullable=False, server_default=NOW)


def texts() -> Any:
    """A `text[]` column, empty by default."""
    return Field(default_factory=list, sa_column=Column(ARRAY(Text), nullable=False, server_default=EMPTY_ARRAY))


def array_of(kind: Any) -> Any:
    """A column of arrays; what those of a list mean says `core.entries`."""
    # A type and not a column: a column belongs to one table, and several have these.
    return Field(sa_type=ARRAY(kind), nullable=False)


def document() -> Any:
    """A `jsonb` object column, empty by default."""
    return Field(default_factory=dict, sa_column=Column(JSONB, nullable=False, server_default=EMPTY_OBJECT))


def reference(target: str, *, ondelete: str = "CASCADE", nullable: bool = False, **options: Any) -> Any:
    """A `text` foreign key to a user's or an item's id."""
    return Field(default=None, sa_column=Column(Text, ForeignKey(target, ondelete=ondelete), nullable=nullable, **options))


def model_version(**options: Any) -> Any:
    """A nullable foreign key to a model version."""
    return Field(default=None, sa_column=Column(BigInteger, ForeignKey("model_versions.id", ondelete="SET NULL"), **options))


class User(SQLModel, table=True):
    """Somebody recommendations are made for; most have no account."""

    __tablename__ = "users"

    id: str = Field(primary_key=True, sa_type=Text)
    name: str | None = Field(default=None, sa_type=Text)
    preferred_categories: list[str] = texts()
    attributes: dict[str, Any] = document()
    created_at: datetime = written_at()


class Account(SQLModel, table=True):
    """Somebody who signs in; linked to at most one user."""

    __tablename__ = "accounts"
    __table_args__ = (
        Index("uq_accounts_email", text("lower(email)"), unique=True),
        CheckConstraint("role IN ('user', 'service', 'admin')", name="role"),
    )

    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True, sa_column_kwargs={"server_default": RANDOM_UUID})
    email: str = Field(sa_type=Text)
    password_hash: str = Field(sa_type=Text)
    role: str = Field(default="user", sa_type=Text)
    user_id: str | None = reference("users.id", ondelete="SET NULL", nullable=True, unique=True)
    is_active: bool = Field(default=True, sa_column_kwargs={"server_default": text("true")})
    created_at: datetime = written_at()


class RefreshToken(SQLModel, table=True):
    """One link of a chain of rotating refresh tokens; showing a used link again ends its whole family (RFC 9700, 4.14.2)."""

    __tablename__ = "refresh_tokens"

    token_hash: str = Field(primary_key=True, sa_type=Text)
    family_id: uuid.UUID = Field(index=True)
    account_id: uuid.UUID = Field(foreign_key="accounts.id", ondelete="CASCADE", index=True)
    expires_at: datetime = timestamp(nullable=False)
    used_at: datetime | None = timestamp()
    revoked_at: datetime | None = timestamp()
    created_at: datetime = written_at()


class Item(SQLModel, table=True):
    """A thing that can be recommended."""

    __tablename__ = "items"
    __table_args__ = (Index("ix_items_categories", "categories", postgresql_using="gin"),)

    id: str = Field(primary_key=True, sa_type=Text)
    number: int | None = Field(default=None, sa_column=Column(Integer, Identity(always=True), nullable=False, unique=True))
    title: str = Field(sa_type=Text)
    categories: list[str] = texts()
    tags: list[str] = texts()
    released_at: datetime | None = timestamp()
    image_url: str | None = Field(default=None, sa_type=Text)
    description: str | None = Field(default=None, sa_type=Text)
    attributes: dict[str, Any] = document()
    is_hidden: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    created_at: datetime = written_at()


class Interaction(SQLModel, table=True):
    """User × item × type × value × time; the same event told twice is one row."""

    __tablename__ = "interactions"
    __table_args__ = (
        Index("uq_interactions_event", "user_id", "occurred_at", "item_id", "type", unique=True),
        CheckConstraint("type IN ('watch', 'rating', 'like', 'dislike', 'bookmark', 'view')", name="type"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    user_id: str = reference("users.id")
    item_id: str = reference("items.id", index=True)
    type: str = Field(sa_type=Text)
    value: float
    occurred_at: datetime = timestamp(nullable=False)
    created_at: datetime = written_at()


class Task(SQLModel, table=True):
    """A unit of work somebody asked for: at once the queue, the outbox and the truth."""

    __tablename__ = "tasks"
    __table_args__ = (
        Index("uq_tasks_idem_key", "owner", "idem_key", unique=True, postgresql_where=text("idem_key IS NOT NULL")),
        Index(
            "uq_tasks_exclusive_key",
            "kind",
            "exclusive_key",
            unique=True,
            postgresql_where=text("exclusive_key IS NOT NULL AND state IN ('queued', 'running')"),
        ),
        Index("ix_tasks_coalesce_key", "kind", "coalesce_key", postgresql_where=text("coalesce_key IS NOT NULL AND state = 'queued'")),
        Index("ix_tasks_due", "queue", text("priority DESC"), "available_at", postgresql_where=text("state = 'queued'")),
        Index("ix_tasks_waiting", "queue", "owner", text("priority DESC"), "available_at", postgresql_where=text(WAITING)),
        Index("ix_tasks_rung", "queue", "dispatched_at", postgresql_where=text("state = 'queued' AND dispatched_at IS NOT NULL")),
        Index("ix_tasks_queued_owner", "owner", postgresql_where=text("state = 'queued'")),
        Index("ix_tasks_lease_until", "lease_until", postgresql_where=text("state = 'running'")),
        Index("ix_tasks_owner", "owner", text("created_at DESC"), "id"),
        Index("ix_tasks_created_at", text("created_at DESC"), "id"),
        Index("ix_tasks_parent_id", "parent_id", postgresql_where=text("parent_id IS NOT NULL")),
        CheckConstraint("state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'expired', 'dead')", name="state"),
        CheckConstraint("(state = 'running') = (lease_until IS NOT NULL AND lease_owner IS NOT NULL)", name="lease"),
        CheckConstraint(
            "(state IN ('succeeded', 'failed', 'cancelled', 'expired', 'dead')) = (finished_at IS NOT NULL)", name="finished_at"
        ),
        CheckConstraint("progress BETWEEN 0 AND 1", name="progress"),
        CheckConstraint("attempt BETWEEN 0 AND max_attempts", name="attempt"),
    )

    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True, sa_column_kwargs={"server_default": RANDOM_UUID})
    kind: str = Field(sa_type=Text)
    queue: str = Field(sa_type=Text)
    payload: dict[str, Any] = document()
    payload_version: int = Field(default=1)
    owner: str = Field(sa_type=Text)
    parent_id: uuid.UUID | None = None
    idem_key: str | None = Field(default=None, sa_type=Text)
    request_hash: str = Field(sa_type=Text)
    exclusive_key: str | None = Field(default=None, sa_type=Text)
    coalesce_key: str | None = Field(default=None, sa_type=Text)
    state: str = Field(default="queued", sa_type=Text, sa_column_kwargs={"server_default": "queued"})
    priority: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    attempt: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    max_attempts: int
    requeue_count: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    fence: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default="0"))
    lease_owner: str | None = Field(default=None, sa_type=Text)
    lease_until: datetime | None = timestamp()
    available_at: datetime = written_at()
    dispatched_at: datetime | None = timestamp()
    deadline_at: datetime | None = timestamp()
    cancel_requested: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    progress: float = Field(default=0.0, sa_column_kwargs={"server_default": "0"})
    progress_note: str | None = Field(default=None, sa_type=Text)
    error: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    result: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB(none_as_null=True)))
    artifact: str | None = Field(default=None, sa_type=Text)
    artifact_bytes: int | None = Field(default=None, sa_type=BigInteger)
    revision: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default="0"))
    correlation_id: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = written_at()
    started_at: datetime | None = timestamp()
    finished_at: datetime | None = timestamp()


class ModelVersion(SQLModel, table=True):
    """A trained recommender in the registry; its arrays are an artifact in the store, as long as they are kept."""

    __tablename__ = "model_versions"
    __table_args__ = (
        Index("uq_model_versions_live", "status", unique=True, postgresql_where=text("status = 'live'")),
        Index("ix_model_versions_source", "source", postgresql_where=text("source IS NOT NULL")),
        CheckConstraint("status IN ('candidate', 'live', 'retired', 'refused')", name="status"),
        CheckConstraint("scope IN ('full', 'partial')", name="scope"),
        CheckConstraint("status <> 'live' OR artifact IS NOT NULL", name="artifact"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    algorithm: str = Field(sa_type=Text)
    scope: str = Field(default="full", sa_type=Text, sa_column_kwargs={"server_default": "full"})
    status: str = Field(default="candidate", sa_type=Text, sa_column_kwargs={"server_default": "candidate"})
    status_reason: str | None = Field(default=None, sa_type=Text)
    artifact: str | None = Field(default=None, sa_type=Text)
    artifact_bytes: int = Field(sa_type=BigInteger)
    parameters: dict[str, Any] = document()
    metrics: dict[str, Any] = document()
    gate: dict[str, Any] = document()
    data_window: dict[str, Any] = document()
    training_seconds: float
    source: str | None = Field(default=None, sa_type=Text)
    parent_id: int | None = model_version()
    replaced_id: int | None = model_version()
    task_id: uuid.UUID | None = Field(default=None, foreign_key="tasks.id", ondelete="SET NULL")
    live_at: datetime | None = timestamp()
    created_at: datetime = written_at()


class Schedule(SQLModel, table=True):
    """A task that the dispatcher submits by the clock."""

    __tablename__ = "schedules"
    __table_args__ = (CheckConstraint("last_outcome IN ('submitted', 'coalesced', 'skipped', 'refused')", name="last_outcome"),)

    name: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(sa_type=Text)
    payload: dict[str, Any] = document()
    cron: str = Field(sa_type=Text)
    timezone: str | None = Field(default=None, sa_type=Text)
    is_enabled: bool = Field(default=True, sa_column_kwargs={"server_default": text("true")})
    next_fire_at: datetime | None = timestamp()
    last_fired_at: datetime | None = timestamp()
    last_due_at: datetime | None = timestamp()
    last_outcome: str | None = Field(default=None, sa_type=Text)
    last_note: str | None = Field(default=None, sa_type=Text)
    last_task_id: uuid.UUID | None = None
    created_at: datetime = written_at()


class AuditEntry(SQLModel, table=True):
    """What somebody with power did: written together with the deed, never changed."""

    __tablename__ = "audit_entries"
    __table_args__ = (Index("ix_audit_entries_subject", "subject", "id"),)

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    actor: str = Field(sa_type=Text)
    action: str = Field(sa_type=Text)
    subject: str = Field(sa_type=Text)
    details: dict[str, Any] = document()
    correlation_id: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = written_at()
