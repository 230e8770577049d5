"""`/models`: the registry of trained models, and which of them is live."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field, TypeAdapter

from app.api.deps import By, Connection, CurrentAccount, Process, Transaction
from app.api.problems import documented
from app.api.shapes import Answer, Cursor, Instant, Limit, Page, Request, Text, opened, page_of
from app.errors import Forbidden, NotAuthenticated, RequestInvalid
from app.model_errors import ModelNotFound, ModelNotPromotable, ModelRefusedByGate
from app.services import models
from app.services.models import Change
from core.model_versions import Status
from core.statement import Row

router = APIRouter(prefix="/models", tags=["models"])

_KEY: TypeAdapter[tuple[int]] = TypeAdapter(tuple[Annotated[int, Field(ge=0, lt=2**63)]])

VersionId = Annotated[int, Path(ge=1, lt=2**63, description="The id of a model version.")]
MAX_COMPARED = 10


class ModelOut(Answer):
    id: int
    algorithm: str
    scope: Literal["full", "partial"] = Field(description="Whether it was trained anew or is an update of `parent_id`.")
    status: Status = Field(description="Lists are made with the version that is live; there is one at most.")
    status_reason: str | None
    metrics: dict[str, Any] = Field(
        description="What was measured on the `slice` of the gate (of the `kind` `time` or `last_of_each` user): `values` of this "
        "version, `baselines` of others."
    )
    gate: dict[str, Any] = Field(
        description="What the gate made of it: `verdict`, `reason`, and the differences to what it was held against."
    )
    parameters: dict[str, Any]
    data_window: dict[str, Any] = Field(description="What it was trained on.")
    artifact: str | None = Field(description="Where its files are in the artifact store; null if they are no longer kept.")
    artifact_bytes: int
    training_seconds: float
    source: str | None = Field(description="Where it was imported from; null if it was trained here.")
    parent_id: int | None = Field(description="The version that a partial training began with.")
    replaced_id: int | None = Field(description="What was live before it: where a rollback leads.")
    live_at: Instant | None = Field(description="When it last went live.")
    created_at: Instant


class FileOut(Answer):
    sha256: str
    size: int


class ModelDetailOut(ModelOut):
    files: dict[str, FileOut] = Field(description="The files of its artifact with their checksums.")


class PointOut(Answer):
    k: int = Field(description="The length of the lists.")
    value: float | None
    low: float | None = Field(description="The 95 % interval; null where there is none.")
    high: float | None


class SeriesOut(Answer):
    metric: str = Field(examples=["ndcg"])
    name: Literal["this", "live", "popular"] = Field(description="The version itself, or what it was held against then.")
    version: int | None
    points: list[PointOut]


class EvaluationOut(Answer):
    slice: dict[str, Any] | None = Field(
        description="The interactions it was measured on; null if it was not. `kind` `time`: the most recent `share` of all; "
        "`last_of_each`: the last `share` of each user's, at most `most_of_each`."
    )
    series: list[SeriesOut] = Field(description="One line of a plot each.")


class ComparisonOut(Answer):
    metrics: list[str] = Field(description="All metrics that any of the versions has.")
    data: list[ModelOut]
    is_same_slice: bool = Field(description="Whether all were measured on the same interactions; otherwise the numbers cannot be compared.")


class Promotion(Request):
    force: bool = Field(default=False, description="Put it live although the gate refused it; takes a reason.")
    reason: Annotated[Text, Field(max_length=1000)] | None = Field(default=None, description="Why; the audit trail keeps it.")
    refresh_lists: bool = Field(default=True, description="Whether all lists are computed anew.")


class Rollback(Request):
    reason: Annotated[Text, Field(max_length=1000)] | None = Field(default=None, description="Why; the audit trail keeps it.")
    refresh_lists: bool = Field(default=True, description="Whether all lists are computed anew.")


class ChangeOut(Answer):
    live: ModelOut
    replaced_id: int | None = Field(description="What was live until now.")
    refresh_task_id: str | None = Field(description="The task that computes all lists anew; null if none is or one was queued already.")


@router.get("", summary="Model versions, newest first", responses=documented(NotAuthenticated))
async def list_models(
    *,
    _account: CurrentAccount,
    connection: Connection,
    status: Annotated[list[Status] | None, Query(description="Any of these.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ModelOut]:
    before = opened(cursor, _KEY)
    rows = await models.list_models(connection, statuses=status, before=before[0] if before else None, limit=limit + 1)
    shown, next_cursor = page_of(rows, limit=limit, key=lambda row: (row["id"],))
    return Page(data=[_out(row) for row in shown], next_cursor=next_cursor)


@router.get("/compare", summary="Several model versions side by side", responses=documented(NotAuthenticated, ModelNotFound))
async def compare_models(
    _account: CurrentAccount,
    connection: Connection,
    ids: Annotated[
        list[Annotated[int, Field(ge=1, lt=2**63)]], Query(min_length=2, max_length=MAX_COMPARED, description="Two to ten version ids.")
    ],
) -> ComparisonOut:
    """Numbers can be compared only where `is_same_slice` is true: every training measures on what was fresh then."""
    rows = await models.get_models(connection, ids)
    metrics = dict.fromkeys(name for row in rows for name in row["metrics"].get("values", {}))
    slices = [row["metrics"].get("slice") for row in rows]
    is_same = all(part is not None and part == slices[0] for part in slices)
    return ComparisonOut(metrics=list(metrics), data=[_out(row) for row in rows], is_same_slice=is_same)


@router.post(
    "/rollback",
    summary="Put back the version that was live before",
    responses=documented(NotAuthenticated, Forbidden, ModelNotPromotable),
)
async def roll_back(body: Rollback, by: By, process: Process, connection: Transaction) -> ChangeOut:
    """Once more goes back one further. The lists become what they were, for users who have done nothing since."""
    change = await models.roll_back(connection, process.artifacts, reason=body.reason, refresh_lists=body.refresh_lists, actor=by)
    return _change_out(change)


@router.get("/{version_id}", summary="One model version", responses=documented(NotAuthenticated, ModelNotFound))
async def read_model(version_id: VersionId, _account: CurrentAccount, process: Process, connection: Connection) -> ModelDetailOut:
    row = await models.get_model(connection, version_id)
    files = models.find_files(process.artifacts, row)
    return ModelDetailOut.model_validate({**row, "files": {name: FileOut.model_validate(file) for name, file in files.items()}})


@router.get(
    "/{version_id}/evaluation",
    summary="What was measured of a model version, as lines to plot",
    responses=documented(NotAuthenticated, ModelNotFound),
)
async def read_evaluation(version_id: VersionId, _account: CurrentAccount, connection: Connection) -> EvaluationOut:
    row = await models.get_model(connection, version_id)
    lines = [SeriesOut.model_validate(line) for line in models.plot(row)]
    return EvaluationOut(slice=row["metrics"].get("slice"), series=lines)


@router.post(
    "/{version_id}/promote",
    summary="Put a model version live",
    responses=documented(NotAuthenticated, Forbidden, ModelNotFound, ModelRefusedByGate, ModelNotPromotable, RequestInvalid),
)
async def promote_model(version_id: VersionId, body: Promotion, by: By, process: Process, connection: Transaction) -> ChangeOut:
    """What the gate refused takes `force` and a `reason`; `GET /audit` tells who did it."""
    change = await models.promote(
        connection,
        process.artifacts,
        version_id,
        force=body.force,
        reason=body.reason,
        refresh_lists=body.refresh_lists,
        actor=by,
    )
    return _change_out(change)


def _change_out(change: Change) -> ChangeOut:
    task_id = str(change.refresh_task_id) if change.refresh_task_id else None
    return ChangeOut(live=_out(change.live), replaced_id=change.replaced_id, refresh_task_id=task_id)


def _out(row: Row) -> ModelOut:
    return ModelOut.model_validate(row)
