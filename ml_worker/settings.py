"""The settings of a worker process."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from core.settings import CoreSettings
from core.topology import QUEUE_NAMES, QueueName

DEFAULT_WEIGHTS = {"rating": 1.0, "watch": 0.8, "like": 1.0, "dislike": -1.0, "bookmark": 0.5, "view": 0.2}


class WorkerSettings(CoreSettings):
    """Which queues a worker serves, how many tasks at once, and how it reads feedback."""

    worker_queues: Annotated[tuple[QueueName, ...], NoDecode] = Field(
        default=QUEUE_NAMES, min_length=1, description="Queues this worker serves, separated by commas."
    )
    interactive_slots: int = Field(default=1, ge=1, le=64, description="Batches of interactive tasks run at the same time.")
    batch_slots: int = Field(default=1, ge=1, le=64, description="Batches of background tasks run at the same time.")
    train_slots: int = Field(default=1, ge=1, le=8, description="Trainings run at the same time.")
    lease_seconds: float = Field(default=30.0, ge=1, le=3600, description="How long a silent worker keeps its tasks.")
    poll_seconds: float = Field(default=0.5, gt=0, le=60, description="How often queues are looked at when no bell rings.")
    drain_seconds: float = Field(
        default=20.0, ge=0, le=3600, description="How long running tasks may go on after SIGTERM before they are handed back."
    )
    worker_memory_mb: int | None = Field(
        default=None,
        ge=64,
        description="Memory of its own that a worker may have; above that it finishes its tasks and ends, to be started anew.",
    )
    child_memory_mb: int | None = Field(default=None, ge=64, description="Memory a training may use; without it, whatever there is.")
    child_seconds: float = Field(default=21_600.0, gt=0, description="How long a training may take.")
    choosing_seconds: float = Field(
        default=240.0, gt=0, description="How long a training of `default` may try models; what is chosen is trained afterwards."
    )
    gate_share: float = Field(
        default=0.1, gt=0, lt=0.9, description="Share of the last interactions that a freshly trained model is judged on."
    )
    gate_min_users: int = Field(
        default=20, ge=1, le=1_000_000, description="With fewer users to judge by, a model goes live unless it is worse than nothing."
    )
    model_file_id: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]{1,200}$",
        description="Id of a model's bundle on Google Drive that is pulled once, at the first start.",
    )
    drive_address: str = Field(
        default="https://drive.google.com/uc?id={}",
        pattern=r"^https?://.*\{\}",
        description="Where MODEL_FILE_ID is looked up; {} is the id.",
    )
    models_kept: int = Field(
        default=10, ge=1, le=1000, description="How many of the newest versions of either scope, full and partial, keep their arrays."
    )
    artifacts_cache: Path | None = Field(
        default=None,
        description="A local directory for copies of large artifacts, which workers map; for a bucket or a network file system.",
    )
    artifacts_cache_mb: int = Field(default=4096, ge=1, description="Most megabytes of copies in ARTIFACTS_CACHE.")
    worker_host: str = Field(default="127.0.0.1", description="Address of the worker's health and metrics; 0.0.0.0 for all.")
    worker_port: int = Field(default=0, ge=0, le=65535, description="Port of the worker's health and metrics; 0 serves none.")
    list_length: int = Field(default=100, ge=1, le=1000, description="Entries kept in each stored list.")
    new_share: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Share of each list that new releases have, as far as there are any; a request may say otherwise.",
    )
    new_days: float = Field(
        default=30.0, gt=0, le=3650, description="How many days after its release, or else its addition, an item is new."
    )
    interaction_weights: dict[str, float] = Field(
        default=DEFAULT_WEIGHTS, description="JSON: how strongly each interaction type speaks for (or, negative, against) an item."
    )

    @field_validator("worker_queues", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else value

    @field_validator("interaction_weights")
    @classmethod
    def _know_every_type(cls, value: dict[str, float]) -> dict[str, float]:
        if unknown := value.keys() - DEFAULT_WEIGHTS.keys():
            raise ValueError(f"no interaction type is named {', '.join(sorted(unknown))}; known are {', '.join(DEFAULT_WEIGHTS)}")
        return {**DEFAULT_WEIGHTS, **value}

    def slots(self, queue: QueueName) -> int:
        """How many slots serve a queue."""
        return {"interactive": self.interactive_slots, "batch": self.batch_slots, "train": self.train_slots}[queue]
