"""Every task payload, its kind and its queue: what is asked, as small frozen values."""

from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from core.identifiers import EntityId
from core.narrowing import Narrowing
from core.topology import QueueName

Algorithm = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9_]*$")]


class Payload(BaseModel):
    """Base of all payloads; unknown fields are refused, so that a misspelt one is not silently ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str]
    version: ClassVar[int] = 1
    oldest_version: ClassVar[int] = 1
    """The fields of all versions from this one on still mean the same, so that tasks queued before an upgrade are run after it."""
    queue: ClassVar[QueueName]
    max_attempts: ClassVar[int] = 3

    @property
    def exclusive_key(self) -> str | None:
        """At most one task of the kind with this key is queued or running."""
        return None

    @property
    def coalesce_key(self) -> str | None:
        """A queued task of the kind with this key already promises the same work."""
        return None

    @classmethod
    def renewed(cls, payload: dict[str, Any], *, version: int) -> dict[str, Any]:
        """The fields of a stored payload of an older version as this one has them."""
        return payload


class TrainPayload(Payload):
    """Train models on everything that happened; the best goes live unless it is worse than what is live, or than popularity."""

    kind = "train"
    version = 3
    queue = "train"

    scope: Literal["full", "partial"] = Field(
        default="full", description="full trains anew; partial brings the live version up to date with what happened since it was trained."
    )
    algorithms: tuple[Algorithm, ...] = Field(
        default=("als", "popular"),
        min_length=1,
        max_length=8,
        description="What to train, each once, `default` being what is found best by trying; the first that the gate lets through goes "
        "live, unless a later one is surely better. A partial training updates what is live, and takes none.",
    )
    parameters: dict[Algorithm, dict[str, Any]] = Field(
        default_factory=dict,
        max_length=8,
        description="Hyperparameters by algorithm; those left out keep their defaults.",
        examples=[{"als": {"factors": 128}}],
    )
    refresh_lists: bool = Field(default=True, description="Whether all lists are computed anew when a version goes live.")

    @field_validator("algorithms")
    @classmethod
    def _named_once(cls, algorithms: tuple[str, ...]) -> tuple[str, ...]:
        if twice := sorted({name for name in algorithms if algorithms.count(name) > 1}):
            raise ValueError(f"names {', '.join(twice)} more than once")
        return algorithms

    @field_validator("algorithms")  # which is not called where they are not given
    @classmethod
    def _not_in_vain(cls, algorithms: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.data.get("scope") == "partial":
            raise ValueError(
                "are for a full training: a partial one updates the version that is live, whatever its algorithm; "
                'leave them out, or ask for "scope": "full"'
            )
        return algorithms

    @model_validator(mode="after")
    def _has_no_parameters_in_vain(self) -> Self:
        if self.scope == "partial" and self.parameters:
            raise ValueError("parameters are for a full training: a partial one goes on with those of the live version")
        return self

    @model_serializer(mode="wrap")
    def _only_what_may_be_given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        told: dict[str, Any] = handler(self)
        if self.scope == "partial":
            told.pop("algorithms", None)
        return told

    @classmethod
    def renewed(cls, payload: dict[str, Any], *, version: int) -> dict[str, Any]:
        # Until version 2 the default was stored with every partial training, and nothing was made of it.
        is_filled_in = version <= 2 and payload.get("scope") == "partial"  # noqa: PLR2004
        return {name: value for name, value in payload.items() if name != "algorithms"} if is_filled_in else payload

    @property
    def exclusive_key(self) -> str:
        return "train"


class RecommendPayload(Payload):
    """Compute the list of one user from the user's whole history."""

    kind = "recommend"
    queue = "interactive"

    user_id: EntityId = Field(description="Whose list.", examples=["42"])

    @property
    def coalesce_key(self) -> str:
        return self.user_id


class RecommendManyPayload(Payload):
    """Compute the lists of many users in one task, each from the user's whole history."""

    kind = "recommend_many"
    queue = "batch"

    user_ids: tuple[EntityId, ...] = Field(
        min_length=1, max_length=1000, description="Whose lists; the result tells of each.", examples=[["42", "43"]]
    )


class RankPayload(Payload):
    """Answer one request for a list that no stored one can be: of a user, or of whoever just looked at some items."""

    kind = "rank"
    queue = "interactive"
    max_attempts = 1

    user_id: EntityId | None = None
    item_ids: tuple[EntityId, ...] = Field(default=(), max_length=100, description="What was looked at; without a user.")
    surface: Literal["ranked", "session", "similar"] = "ranked"
    narrowing: Narrowing = Narrowing()


class RefreshListsPayload(Payload):
    """Compute the lists of all users, in shards that run on as many workers as there are."""

    kind = "refresh_lists"
    queue = "batch"

    shard_count: int | None = Field(
        default=None, ge=1, le=1024, description="Into how many tasks the users are divided; by default about 1,000 users each."
    )

    @property
    def exclusive_key(self) -> str:
        return "refresh_lists"


class RefreshShardPayload(Payload):
    """Compute the lists of the users of one shard; submitted by `refresh_lists`."""

    kind = "refresh_shard"
    queue = "batch"

    shard: int = Field(ge=0)
    shard_count: int = Field(ge=1)

    @property
    def coalesce_key(self) -> str:
        return f"{self.shard}/{self.shard_count}"


class CountItemsPayload(Payload):
    """Count what everybody does with each item, for the lists that are the same for all."""

    kind = "count_items"
    queue = "batch"

    @property
    def exclusive_key(self) -> str:
        return "count_items"


class ImportModelPayload(Payload):
    """Register the model of a bundle that was verified and stored; submitted by `POST /models/import`."""

    kind = "import_model"
    queue = "batch"

    artifact: str = Field(pattern=r"^[0-9a-f]{64}$", description="Where the files of the bundle are stored.")
    source: str = Field(min_length=1, max_length=200, description="Where the bundle came from, for the registry.")
    refresh_lists: bool = Field(default=True, description="Whether all lists are computed anew if the version goes live.")


PAYLOADS: Final[dict[str, type[Payload]]] = {
    payload.kind: payload
    for payload in (
        TrainPayload,
        RecommendPayload,
        RecommendManyPayload,
        RankPayload,
        RefreshListsPayload,
        RefreshShardPayload,
        CountItemsPayload,
        ImportModelPayload,
    )
}


class PayloadNotUnderstood(Exception):
    """A stored payload whose kind or version this process does not know."""


def parse(kind: str, version: int, payload: dict[str, Any]) -> Payload:
    """The payload of a task row.

    Raises `PayloadNotUnderstood` for an unknown kind or version and pydantic's `ValidationError` for wrong fields.
    """
    known = PAYLOADS.get(kind)
    if known is None:
        raise PayloadNotUnderstood(f"no task kind is named {kind!r}; known are {', '.join(sorted(PAYLOADS))}")
    if not known.oldest_version <= version <= known.version:
        understood = " to ".join(str(known_version) for known_version in sorted({known.oldest_version, known.version}))
        raise PayloadNotUnderstood(f"{kind} payload version {version} is not understood; this process knows version {understood}")
    return known.model_validate(known.renewed(payload, version=version))
