"""`marquee tasks`: look at tasks and put them right, directly on the database, also while nothing else runs."""

import json
import uuid
from typing import Annotated, Any, Final, get_args

import typer
from psycopg import Connection
from psycopg.errors import UniqueViolation

from cli import census, deeds
from cli.connecting import connected
from cli.refusal import Refusal
from cli.showing import duration, out, pairs, show, table_of
from core import audit, requeueing, tasks
from core.statement import Row, Statement, first_or_none
from core.tasks import State

STATES: Final[tuple[State, ...]] = get_args(State)
RUNNING_SHOWN: Final = 20

app: Final = typer.Typer(
    help="Look at tasks and put them right, directly on the database (DATABASE_URL); nothing else has to run.", no_args_is_help=True
)

TaskId = Annotated[uuid.UUID, typer.Argument(metavar="ID", help="The id of a task.")]
TaskIds = Annotated[list[uuid.UUID], typer.Argument(metavar="ID…", help="Ids of tasks.")]

_LIST = """
SELECT id, kind, state, attempt, max_attempts, owner, progress, progress_note, error, correlation_id,
       extract(epoch FROM clock_timestamp() - created_at)::float8 AS age
FROM tasks
WHERE (%(states)s::text[] IS NULL OR state = ANY(%(states)s)) AND (%(kinds)s::text[] IS NULL OR kind = ANY(%(kinds)s))
  AND (%(owner)s::text IS NULL OR owner = %(owner)s) AND (%(correlation_id)s::text IS NULL OR correlation_id = %(correlation_id)s)
ORDER BY created_at DESC, id LIMIT %(limit)s
"""


@app.command("list")
def list_command(
    *,
    state: Annotated[list[str] | None, typer.Option(help=f"Only these states (repeat it): {', '.join(STATES)}.")] = None,
    kind: Annotated[list[str] | None, typer.Option(help="Only these kinds (repeat it).")] = None,
    owner: Annotated[str | None, typer.Option(help="Only tasks of this account (its id).")] = None,
    correlation_id: Annotated[str | None, typer.Option(help="Only tasks of the request with this X-Correlation-ID.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most, newest first.")] = 20,
) -> None:
    """List tasks, newest first."""
    if unknown := set(state or ()) - set(STATES):
        raise Refusal(f"no state is called {', '.join(sorted(unknown))}; there are {', '.join(STATES)}", exit_code=2)
    params = {"states": state or None, "kinds": kind or None, "owner": owner, "correlation_id": correlation_id, "limit": limit}
    with connected() as connection:
        found = Statement(_LIST, params, list).run(connection)
    if not found:
        out.print("No tasks.")
        return
    table = table_of("id", "kind", "state", "attempts", "age", "owner", "note")
    for row in found:
        note = row["progress_note"] if row["state"] == "running" else (row["error"] or {}).get("code")
        attempts = f"{row['attempt']}/{row['max_attempts']}"
        table.add_row(str(row["id"]), row["kind"], row["state"], attempts, duration(row["age"]), row["owner"], note or "")
    show(table)


@app.command("show")
def show_command(task_id: TaskId) -> None:
    """Show one task with the story of its attempts and what was done to it by hand."""
    with connected() as connection:
        task = _find(connection, task_id)
        done = audit.deeds(f"task:{task_id}").run(connection)
    error = task.pop("error") or {}
    table = pairs()
    for name, value in task.items():
        if value not in (None, ""):
            table.add_row(name, json.dumps(value) if isinstance(value, dict | list) else str(value))
    show(table)
    if error.get("attempts"):
        out.print("\nAttempts that failed")
        story = table_of("attempt", "at", "code", "message")
        for told in error["attempts"]:
            story.add_row(str(told["attempt"]), told["at"], told["code"], told["message"])
        show(story)
    elif error:
        out.print(f"\n{error['code']}: {error['message']}")
    deeds.tell(done)


@app.command("cancel")
def cancel_command(task_ids: TaskIds) -> None:
    """Cancel tasks: queued ones end at once, running ones are asked to stop."""
    with connected() as connection:
        for task_id in task_ids:
            with connection.transaction():
                state = tasks.request_cancel(task_id).run(connection)
                if state == "cancelled":
                    tasks.notify_finished([task_id]).run(connection)
            if state is None:
                raise Refusal(f"task {task_id} has ended already: it is {_find(connection, task_id)['state']}")
            out.print(f"{task_id} is cancelled." if state == "cancelled" else f"{task_id} is running and was asked to stop.")


@app.command("requeue")
def requeue_command(task_ids: TaskIds) -> None:
    """Give dead or failed tasks all their attempts anew; the audit trail remembers who did (`cli:` and your account here)."""
    with connected() as connection:
        for task_id in task_ids:
            _requeue(connection, task_id)
            out.print(f"{task_id} is queued again.")


def _requeue(connection: Connection[Any], task_id: uuid.UUID) -> None:
    try:
        found = requeueing.requeue(task_id, actor=deeds.person()).run(connection)
    except UniqueViolation:
        raise Refusal("another task has just become active; try again when that has ended") from None
    if found is None:
        raise Refusal(f"there is no task {task_id}")
    if found.active_id is not None:
        raise Refusal(f"another {found.kind} task is active; task {task_id} can be requeued when {found.active_id} has ended")
    if not found.is_done:
        raise Refusal(f"only dead and failed tasks can be requeued; task {task_id} is {found.state}")


@app.command("census")
def census_command() -> None:
    """Count all tasks, show what runs and what died of what, and check that nothing is as it must never be (exit code 1 if it is)."""
    with connected() as connection:
        taken = census.take(connection, running_limit=RUNNING_SHOWN)
    _show_counts(taken)
    _show_work(taken)
    for check, count in taken.wrong.items():
        out.print(f"{'✗' if count else '✓'} {check}{f': {count} do not hold' if count else ''}")
    if any(taken.wrong.values()):
        raise Refusal("the census found what must never be; docs/how-to/operate.md says what to do")


def _show_counts(taken: census.Census) -> None:
    table = table_of("kind", *STATES)
    for kind, counts in taken.counts.items():
        table.add_row(kind, *(str(counts.get(state, "")) for state in STATES))
    if taken.counts:
        show(table)
    else:
        out.print("No tasks.")
    for row in taken.oldest:
        out.print(f"{row['queue']}: {row['count']:,} due, the oldest for {duration(row['age'])}")
    out.print()


def _show_work(taken: census.Census) -> None:
    if taken.running:
        table = table_of("running", "kind", "attempt", "for", "lease left", "done", "worker")
        for row in taken.running:
            attempt, done = f"{row['attempt']}/{row['max_attempts']}", f"{row['progress']:.0%} {row['progress_note'] or ''}"
            spans = (duration(row["running_seconds"]), duration(row["lease_seconds"]))
            table.add_row(str(row["id"]), row["kind"], attempt, *spans, done.strip(), row["lease_owner"])
        show(table)
        out.print()
    if taken.unsuccessful:
        table = table_of("ended", "kind", "reason", "count", "the latest", "and what it said")
        for row in taken.unsuccessful:
            table.add_row(row["state"], row["kind"], row["code"], str(row["count"]), str(row["latest_id"]), row["latest_message"] or "")
        show(table)
        out.print()


_SHOW = """
SELECT id, kind, queue, state, payload, owner, parent_id, priority, attempt, max_attempts, requeue_count, fence, lease_owner, lease_until,
       progress, progress_note, cancel_requested, correlation_id, idem_key, created_at, available_at, deadline_at, started_at, finished_at,
       result, error
FROM tasks WHERE id = %(id)s
"""


def _find(connection: Connection[Any], task_id: uuid.UUID) -> Row:
    task = Statement(_SHOW, {"id": task_id}, first_or_none).run(connection)
    if task is None:
        raise Refusal(f"there is no task {task_id}")
    return task
