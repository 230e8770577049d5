"""`marquee schedules`: what is submitted by the clock, looked at and changed directly on the database."""

import json
from datetime import datetime
from typing import Annotated, Any, Final

import typer
from psycopg import Connection

from cli import deeds
from cli.connecting import connected
from cli.deeds import person
from cli.refusal import Refusal
from cli.showing import moment, out, pairs, show, table_of
from core import audit, schedules, tasks
from core.cron import CronNotUnderstood, TimezoneUnknown, in_zone, next_times
from core.schedules import PayloadRefused, ScheduleRow
from core.settings import CoreSettings

DEFAULT_ZONE: Final = "default"

app: Final = typer.Typer(
    help="What is submitted by the clock, directly on the database (DATABASE_URL); dispatchers fire it.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of a schedule.")]
Names = Annotated[list[str], typer.Argument(metavar="NAME…", help="Names of schedules.")]
Count = Annotated[int, typer.Option(min=1, max=20, help="How many times.")]


@app.command("list")
def list_command() -> None:
    """List all schedules, and how each went the last time."""
    zone = CoreSettings().schedule_timezone
    with connected() as connection:
        rows = schedules.list_all().run(connection)
    if not rows:
        out.print("No schedules.")
        return
    table = table_of("name", "kind", "cron", "zone", "next", "last", "and what became of it")
    for row in rows:
        here = row.timezone or zone
        coming = _local(row.next_fire_at, here) if row.next_fire_at else "soon" if row.is_enabled else "off"
        table.add_row(row.name, row.kind, row.cron, here, coming, _local(row.last_fired_at, here), _became(row))
    show(table)


def _became(row: ScheduleRow) -> str:
    """What became of the last time, and of the task that it submitted."""
    told = f"{row.last_outcome or ''}, {row.last_task_state}" if row.last_task_state else row.last_outcome or ""
    return f"{told}: {row.last_task_note}" if row.last_task_note else told


@app.command("show")
def show_command(name: Name, count: Count = 5) -> None:
    """Show one schedule, its next times and what was done to it by hand."""
    zone = CoreSettings().schedule_timezone
    with connected() as connection:
        row = _find(connection, name)
        done = audit.deeds(f"schedule:{name}").run(connection)
    table = pairs()
    for column in (
        "name",
        "kind",
        "payload",
        "cron",
        "timezone",
        "is_enabled",
        "last_due_at",
        "last_fired_at",
        "last_outcome",
        "last_note",
    ):
        value = getattr(row, column)
        shown = json.dumps(value) if isinstance(value, dict) else str(value)
        if value is not None:
            table.add_row(column, shown)
    if row.last_task_id:
        table.add_row("last_task_id", str(row.last_task_id))
        table.add_row("last_task", f"{row.last_task_state or 'deleted'}{': ' if row.last_task_note else ''}{row.last_task_note or ''}")
    show(table)
    out.print(f"\nNext times in {row.timezone or zone}{'' if row.is_enabled else ', were it enabled'}")
    for time in row.upcoming(zone, count=count):
        out.print(f"  {_local(time, row.timezone or zone)}")
    deeds.tell(done)


@app.command("set")
def set_command(
    *,
    name: Name,
    cron: Annotated[str | None, typer.Option(help="Five fields, as in '0 0 * * *'.")] = None,
    timezone: Annotated[str | None, typer.Option(help=f"Such as Europe/Berlin; '{DEFAULT_ZONE}' follows SCHEDULE_TIMEZONE.")] = None,
    payload: Annotated[str | None, typer.Option(help="What its tasks are asked, as JSON.")] = None,
) -> None:
    """Change when a schedule is due or what its tasks are asked."""
    changes: dict[str, Any] = {}
    if cron is not None:
        changes["cron"] = cron
    if timezone is not None:
        changes["timezone"] = None if timezone == DEFAULT_ZONE else timezone
    if payload is not None:
        changes["payload"] = _document(payload)
    if not changes:
        raise Refusal("say what to change: --cron, --timezone or --payload", exit_code=2)
    _change(name, changes)


@app.command("enable")
def enable_command(names: Names) -> None:
    """Let schedules fire from now on; what was missed meanwhile is not made up for."""
    for name in names:
        _change(name, {"is_enabled": True})


@app.command("disable")
def disable_command(names: Names) -> None:
    """Let schedules fire no more."""
    for name in names:
        _change(name, {"is_enabled": False})


@app.command("run")
def run_command(name: Name) -> None:
    """Submit a schedule's task now, whether it is enabled or not; its next time stays."""
    with connected() as connection, connection.transaction():
        row = _find(connection, name)
        payload = _payload(row.kind, row.payload)
        submitted = tasks.submit(payload, owner=person()).run(connection)
        if submitted is None:
            twin = tasks.find_twin(payload, owner=person()).run(connection)
            raise Refusal(f"a {row.kind} task has not ended yet: {twin.id}" if twin else "another has just ended; try again")
        deeds.remember(connection, "schedule.run", f"schedule:{name}", {"task_id": str(submitted.id)})
    out.print(f"Task {submitted.id} is queued.")


@app.command("preview")
def preview_command(
    cron: Annotated[str, typer.Argument(metavar="CRON", help="Five fields, as in '0 0 * * *'.")],
    timezone: Annotated[str | None, typer.Option(help="Such as Europe/Berlin; by default SCHEDULE_TIMEZONE.")] = None,
    count: Count = 5,
) -> None:
    """Show when an expression comes, without storing anything."""
    zone = timezone or CoreSettings().schedule_timezone
    with connected() as connection:
        now = schedules.read_clock().run(connection)
    try:
        times = next_times(cron, zone, after=now, count=count)
    except (CronNotUnderstood, TimezoneUnknown) as error:
        raise _refused(error) from None
    for time in times:
        out.print(_local(time, zone))


def _change(name: str, changes: dict[str, Any]) -> None:
    zone = CoreSettings().schedule_timezone
    with connected() as connection, connection.transaction():
        row = _find(connection, name, for_update=True)
        if "payload" in changes:
            _payload(row.kind, changes["payload"])
        try:
            wanted, deed = schedules.change(row, changes, default_timezone=zone, actor=person())
        except (CronNotUnderstood, TimezoneUnknown) as error:
            raise _refused(error) from None
        deed.run(connection)
    if wanted.next_fire_at is None:
        out.print(f"{name} is off.")
    else:
        out.print(f"{name} is due next at {_local(wanted.next_fire_at, wanted.timezone or zone)}.")


def _find(connection: Connection[Any], name: str, *, for_update: bool = False) -> ScheduleRow:
    row = schedules.find(name, for_update=for_update).run(connection)
    if row is None:
        known = ", ".join(other.name for other in schedules.list_all().run(connection))
        raise Refusal(f"there is no schedule {name!r}; there are {known or 'none'}")
    return row


def _local(time: datetime | None, zone: str) -> str:
    """The time on the zone's clock; as it is where the zone is none, which only a row changed by hand can have."""
    try:
        return moment(in_zone(time, zone) if time else None)
    except TimezoneUnknown:
        return moment(time)


def _document(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise Refusal(f"--payload is not valid JSON: {error}", exit_code=2) from None
    if not isinstance(found, dict):
        raise Refusal('--payload must be a JSON object, as in \'{"scope": "full"}\'', exit_code=2)
    return found


def _payload(kind: str, payload: dict[str, Any]) -> Any:
    try:
        return schedules.payload_of(kind, payload)
    except PayloadRefused as error:
        raise Refusal(f"the payload is not one of a {kind} task: {error}", exit_code=2) from None


def _refused(error: CronNotUnderstood | TimezoneUnknown) -> Refusal:
    return Refusal(f"the cron expression: {error}" if isinstance(error, CronNotUnderstood) else str(error), exit_code=2)
