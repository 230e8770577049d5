"""The work of the census: an effect that can be counted, and a record of every change of a task that the product does not keep."""

import os
import signal
import time
from collections.abc import Sequence
from typing import Any, Final, LiteralString

from psycopg import Connection

from core.messages import RecommendPayload
from core.statement import Statement, nothing
from ml_worker.handlers.base import Answer, Context, Handler, Job, PermanentFailure, Product, Retry

SLOW_SECONDS: Final = 0.02
LONG_STEPS: Final = 40

# No unique key: an effect that is applied twice is seen twice. The trigger is ours, so that a hole in the product's own is seen too.
SCHEMA: Final[LiteralString] = """
CREATE TABLE witness (task_id uuid NOT NULL, fence bigint NOT NULL, attempt int NOT NULL, worker int NOT NULL);
CREATE TABLE runs (task_id uuid NOT NULL, attempt int NOT NULL, batch_size int NOT NULL);
CREATE TABLE transitions (
    seq bigint GENERATED ALWAYS AS IDENTITY, task_id uuid NOT NULL, old_state text, new_state text, old_fence bigint, new_fence bigint,
    old_attempt int, new_attempt int, requeued int);
CREATE FUNCTION note_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO transitions (task_id, new_state, new_fence, new_attempt) VALUES (NEW.id, NEW.state, NEW.fence, NEW.attempt);
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO transitions (task_id, old_state, old_fence, old_attempt) VALUES (OLD.id, OLD.state, OLD.fence, OLD.attempt);
    ELSIF (OLD.state, OLD.fence, OLD.attempt) IS DISTINCT FROM (NEW.state, NEW.fence, NEW.attempt) THEN
        INSERT INTO transitions (task_id, old_state, new_state, old_fence, new_fence, old_attempt, new_attempt, requeued)
        VALUES (NEW.id, OLD.state, NEW.state, OLD.fence, NEW.fence, OLD.attempt, NEW.attempt, NEW.requeue_count - OLD.requeue_count);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER note_transition AFTER INSERT OR UPDATE OR DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION note_transition();
"""

# Whom a task is for says how its work goes.
USERS: Final = ("plain", "slow", "flaky", "wrong", "deadly", "long")


def prepare(connection: Connection[Any]) -> None:
    """Make a fresh database ready for a census."""
    connection.execute(SCHEMA)
    connection.cursor().executemany("INSERT INTO users (id) VALUES (%s)", [(user,) for user in USERS])


def run(jobs: Sequence[Job[RecommendPayload]], context: Context) -> list[Answer]:
    """`plain` is done at once, `slow` waits, `long` waits and reports, `flaky` fails once, `wrong` always, `deadly` kills its worker."""
    return [_answer(job, context, batch_size=len(jobs)) for job in jobs]


def _answer(job: Job[RecommendPayload], context: Context, *, batch_size: int) -> Answer:
    task = job.task
    match job.payload.user_id:
        case "slow":
            time.sleep(SLOW_SECONDS)
        case "long":
            for step in range(LONG_STEPS):
                context.progress(step / LONG_STEPS, "waiting")
                time.sleep(0.1)
        case "flaky" if task.attempt == 1:
            raise ConnectionError("a first attempt that fails")
        case "wrong":
            return PermanentFailure("wrong", "this task cannot succeed")
        case "deadly":
            _note_run(job, context, batch_size=batch_size)
            os.kill(os.getpid(), signal.SIGKILL)
    return Product({}, effects=(_effect(job),))


def _effect(job: Job[RecommendPayload]) -> Statement[None]:
    return Statement(
        "INSERT INTO witness (task_id, fence, attempt, worker) VALUES (%(task_id)s, %(fence)s, %(attempt)s, %(worker)s)",
        {"task_id": job.task.id, "fence": job.task.fence, "attempt": job.task.attempt, "worker": os.getpid()},
        nothing,
    )


def _note_run(job: Job[RecommendPayload], context: Context, *, batch_size: int) -> None:
    with context.pool.connection() as connection:
        connection.execute("INSERT INTO runs VALUES (%s, %s, %s)", (job.task.id, job.task.attempt, batch_size))


HANDLERS: Final[dict[str, Handler[Any]]] = {
    "recommend": Handler(payload=RecommendPayload, run=run, max_batch=32, retry=Retry(base=0.05, cap=1.0))
}
