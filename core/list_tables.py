"""The tables of lists and around them: what is stored, counted, similar, tried out, shown and clicked."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import REAL, BigInteger, CheckConstraint, Column, Identity, Index, Integer, SmallInteger, Text, text
from sqlmodel import Field, SQLModel

from core.tables import array_of, document, model_version, reference, timestamp, written_at


class StoredEntries(SQLModel):
    """The columns of what is stored as a list; `core.entries` says what the numbers mean."""

    item_numbers: list[int] = array_of(Integer)
    scores: list[float] = array_of(REAL)
    kinds: list[int] = array_of(SmallInteger)
    reason_items: list[int] = array_of(Integer)
    reason_categories: list[str] = array_of(Text)


class RecommendationList(StoredEntries, table=True):
    """The stored list of one user: the entries in order, made by one model version at one time."""

    __tablename__ = "recommendation_lists"

    user_id: str = reference("users.id", primary_key=True)
    list_id: uuid.UUID
    model_version_id: int | None = model_version(index=True)
    is_cold: bool
    history_count: int
    computed_at: datetime = written_at()


class ItemStats(SQLModel, table=True):
    """What everybody does with an item, counted now and then: all events that do not speak against it, and their decayed rate."""

    __tablename__ = "item_stats"
    __table_args__ = (
        Index("ix_item_stats_popular", text("interaction_count DESC"), "item_id"),
        Index("ix_item_stats_trending", text("velocity DESC"), "item_id"),
    )

    item_id: str = reference("items.id", primary_key=True)
    interaction_count: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    velocity: float = Field(default=0.0, sa_column_kwargs={"server_default": "0"})


class SimilarItems(StoredEntries, table=True):
    """What a model says is similar to one item."""

    __tablename__ = "similar_items"

    item_id: str = reference("items.id", primary_key=True)
    list_id: uuid.UUID
    model_version_id: int | None = model_version(index=True)
    computed_at: datetime = written_at()


class CatalogueChange(SQLModel, table=True):
    """That items changed: a row a statement, by trigger. Count and greatest id together are the stamp of the catalogue."""

    __tablename__ = "catalogue_changes"

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    changed_at: datetime = written_at()


class Experiment(SQLModel, table=True):
    """Two arms of model version and settings; at most one experiment runs."""

    __tablename__ = "experiments"
    __table_args__ = (
        Index("uq_experiments_running", text("(ended_at IS NULL)"), unique=True, postgresql_where=text("ended_at IS NULL")),
        CheckConstraint("share_b > 0 AND share_b < 1", name="share_b"),
    )

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(sa_type=Text, unique=True)
    share_b: float
    arm_a: dict[str, Any] = document()
    arm_b: dict[str, Any] = document()
    started_at: datetime = written_at()
    ended_at: datetime | None = timestamp()


class Impression(SQLModel, table=True):
    """That an entry of a list was shown, and what came of it; where the list came from stands in its id and is unfolded here."""

    __tablename__ = "impressions"
    __table_args__ = (
        Index("ix_impressions_shown_at", "shown_at"),
        Index("ix_impressions_experiment_id", "experiment_id", postgresql_where=text("experiment_id IS NOT NULL")),
    )

    list_id: uuid.UUID = Field(primary_key=True)
    item_id: str = reference("items.id", primary_key=True)
    user_id: str | None = reference("users.id", nullable=True, index=True)
    position: int | None = None
    surface: str = Field(sa_type=Text)
    model_version_id: int | None = model_version()
    experiment_id: int | None = Field(default=None, foreign_key="experiments.id", ondelete="SET NULL")
    arm: int
    shown_at: datetime = written_at()
    clicked_at: datetime | None = timestamp()
    converted_at: datetime | None = timestamp()
