"""`/schedules`: tasks that are submitted by the clock."""

import uuid
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Response
from pydantic import AfterValidator, Field

from app.api.deps import PREFIX, Administrator, By, Connection, Process, Transaction
from app.api.kinds import parse_payload
from app.api.patterns import SCHEDULE
from app.api.problems import documented
from app.api.shapes import Answer, Document, Instant, Listing, Request, Text
from app.errors import Forbidden, NotAuthenticated, RequestInvalid, ScheduleExists, ScheduleNotFound
from app.services import schedules
from app.task_errors import TaskAlreadyActive
from core.cron import MAX_LENGTH, check_cron, check_timezone, in_zone, next_times
from core.schedules import Outcome, ScheduleRow

router = APIRouter(prefix="/schedules", tags=["schedules"])

UPCOMING: Final = 5

Name = Annotated[str, Path(pattern=SCHEDULE, description="The name of a schedule.")]
Cron = Annotated[
    Text,
    Field(
        max_length=MAX_LENGTH,
        description="The five fields minute, hour, day-of-month, month, day-of-week, as Debian's cron reads them.",
        examples=["0 0 * * *", "*/15 * * * *"],
    ),
    AfterValidator(check_cron),
]
Timezone = Annotated[
    Text, Field(max_length=100, description="A name as in the IANA database.", examples=["Europe/Berlin"]), AfterValidator(check_timezone)
]


class ScheduleCreate(Request):
    name: Annotated[str, Field(pattern=SCHEDULE, examples=["weekly-report"])]
    kind: str = Field(description="A kind of task that an administrator may ask for; `/tasks/kinds` lists them.", examples=["train"])
    payload: Document = Field(default_factory=dict, description="What its tasks are asked.")
    cron: Cron
    timezone: Timezone | None = Field(default=None, description="Null: the zone in the setting SCHEDULE_TIMEZONE.")
    is_enabled: bool = True


class ScheduleUpdate(Request):
    """What is left out stays as it is."""

    payload: Document = Field(default_factory=dict, description="What its tasks are asked.")
    cron: Cron = "0 0 * * *"
    timezone: Timezone | None = Field(default=None, description="Null: the zone in the setting SCHEDULE_TIMEZONE.")
    is_enabled: bool = True


class ScheduleOut(Answer):
    name: str
    kind: str
    payload: dict[str, Any]
    cron: str
    timezone: str | None = Field(description="Null: the zone in the setting SCHEDULE_TIMEZONE.")
    is_enabled: bool
    next_fire_at: Instant | None = Field(description="Null while it is disabled, and until a dispatcher has seen it for the first time.")
    upcoming: list[Instant] = Field(description="The next five times, were it enabled.")
    last_due_at: Instant | None
    last_fired_at: Instant | None = Field(description="Later than `last_due_at` by as much as no dispatcher was running.")
    last_outcome: Outcome | None = Field(
        description="`coalesced`: a queued task promised the same. `skipped`: the task of an exclusive kind that went before had not "
        "ended. `refused`: the payload was not understood."
    )
    last_note: str | None
    last_task_id: uuid.UUID | None = Field(description="The task that was submitted, or the one that was in the way.")
    last_task_state: str | None = Field(description="How far that task is; null where it was deleted since.")
    last_task_note: str | None = Field(description="Why it failed, or what it says of itself.")
    created_at: Instant


class PreviewRequest(Request):
    cron: Cron
    timezone: Timezone | None = Field(default=None, description="Null: the zone in the setting SCHEDULE_TIMEZONE.")
    count: int = Field(default=UPCOMING, ge=1, le=20)


class TimeOut(Answer):
    at: Instant
    local: str = Field(description="The same with the zone's offset.", examples=["2026-11-22T00:00:00+01:00"])


class PreviewOut(Answer):
    timezone: str
    times: list[TimeOut]


class RunOut(Answer):
    task_id: uuid.UUID


@router.get("", summary="All schedules", responses=documented(NotAuthenticated, Forbidden))
async def list_schedules(_account: Administrator, process: Process, connection: Connection) -> Listing[ScheduleOut]:
    return Listing(data=[_out(row, process.settings.schedule_timezone) for row in await schedules.list_schedules(connection)])


@router.post("", status_code=201, summary="Add a schedule", responses=documented(NotAuthenticated, Forbidden, ScheduleExists))
async def create_schedule(
    *,
    body: ScheduleCreate,
    by: By,
    process: Process,
    connection: Transaction,
    response: Response,
) -> ScheduleOut:
    parse_payload(body.kind, body.payload)
    zone = process.settings.schedule_timezone
    row = await schedules.create_schedule(connection, body.model_dump(), default_timezone=zone, actor=by)
    response.headers["Location"] = f"{PREFIX}/schedules/{row.name}"
    return _out(row, zone)


@router.post("/preview", summary="When an expression comes", responses=documented(NotAuthenticated, Forbidden))
async def preview(body: PreviewRequest, _account: Administrator, process: Process, connection: Connection) -> PreviewOut:
    """Nothing is stored."""
    zone = body.timezone or process.settings.schedule_timezone
    now = await schedules.read_clock(connection)
    times = next_times(body.cron, zone, after=now, count=body.count)
    return PreviewOut(timezone=zone, times=[TimeOut(at=time, local=in_zone(time, zone).isoformat()) for time in times])


@router.get("/{name}", summary="One schedule", responses=documented(NotAuthenticated, Forbidden, ScheduleNotFound))
async def read_schedule(name: Name, _account: Administrator, process: Process, connection: Connection) -> ScheduleOut:
    return _out(await schedules.get_schedule(connection, name), process.settings.schedule_timezone)


@router.patch("/{name}", summary="Change a schedule", responses=documented(NotAuthenticated, Forbidden, ScheduleNotFound))
async def update_schedule(*, name: Name, body: ScheduleUpdate, by: By, process: Process, connection: Transaction) -> ScheduleOut:
    """A time that was missed is not made up for by enabling or changing it."""
    zone, changes = process.settings.schedule_timezone, body.model_dump(include=body.model_fields_set)
    row = await schedules.get_schedule(connection, name, for_update=True)
    if "payload" in changes:
        parse_payload(row.kind, body.payload)
    row = await schedules.update_schedule(connection, row, changes, default_timezone=zone, actor=by)
    return _out(row, zone)


@router.delete("/{name}", status_code=204, summary="Remove a schedule", responses=documented(NotAuthenticated, Forbidden, ScheduleNotFound))
async def delete_schedule(name: Name, by: By, connection: Transaction) -> None:
    """Its tasks stay. A first schedule that was removed does not come back."""
    await schedules.delete_schedule(connection, name, actor=by)


@router.post(
    "/{name}/run",
    status_code=202,
    summary="Submit a schedule's task now",
    responses=documented(NotAuthenticated, Forbidden, ScheduleNotFound, TaskAlreadyActive, RequestInvalid),
)
async def run_schedule(name: Name, by: By, connection: Transaction, response: Response) -> RunOut:
    """Also while it is disabled; its next time stays. Follow the task at the address in `Location`."""
    task_id = await schedules.run_schedule(connection, name, actor=by)
    response.headers["Location"] = f"{PREFIX}/tasks/{task_id}"
    return RunOut(task_id=task_id)


def _out(row: ScheduleRow, default_timezone: str) -> ScheduleOut:
    values = {name: getattr(row, name) for name in ScheduleOut.model_fields if name != "upcoming"}
    return ScheduleOut(**values, upcoming=row.upcoming(default_timezone, count=UPCOMING))
