"""The problems of asking for work and following it."""

import uuid
from typing import ClassVar

from app.errors import Problem


class TaskNotFound(Problem):
    """No task has the id, or it is somebody else's."""

    status = 404
    slug = "task-not-found"
    title = "No such task"

    def __init__(self, task_id: uuid.UUID) -> None:
        super().__init__(f"There is no task {task_id}.")


class TaskAlreadyActive(Problem):
    """A kind of which one task at a time may be queued or running; `task_id` names it."""

    status = 409
    slug = "task-already-active"
    title = "A task of this kind is queued or running"

    def __init__(self, kind: str, task_id: uuid.UUID) -> None:
        super().__init__(f"Task {task_id} of kind {kind} has not ended yet.", members={"task_id": str(task_id)})


class TaskEnded(Problem):
    """The task cannot be cancelled any more."""

    status = 409
    slug = "task-ended"
    title = "The task has ended"

    def __init__(self, task_id: uuid.UUID, state: str) -> None:
        super().__init__(f"Task {task_id} has {state}." if state == "succeeded" else f"Task {task_id} is {state}.")


class TaskHasNoResult(Problem):
    """The task has not succeeded, or its result is not of the kind that is asked for."""

    status = 404
    slug = "task-has-no-result"
    title = "The task has no such result"

    def __init__(self, task_id: uuid.UUID, why: str) -> None:
        super().__init__(f"Task {task_id} has no result to show: {why}.")


class TaskNotRequeueable(Problem):
    """Only a failed or dead task can be requeued."""

    status = 409
    slug = "task-not-requeueable"
    title = "The task cannot be requeued"

    def __init__(self, task_id: uuid.UUID, state: str) -> None:
        super().__init__(f"Only failed and dead tasks can be requeued; task {task_id} is {state}.")


class IdempotencyKeyReused(Problem):
    """The idempotency key was used before for another request."""

    status = 422
    slug = "idempotency-key-reused"
    title = "The idempotency key belongs to another request"

    def __init__(self, task_id: uuid.UUID) -> None:
        super().__init__(f"Task {task_id} was submitted with this key and another body.", members={"task_id": str(task_id)})


class TooManyQueuedTasks(Problem):
    """The account has as many tasks queued as it may have; they must be worked off, or cancelled, first."""

    status = 429
    slug = "too-many-queued-tasks"
    title = "Too many tasks are queued"
    headers: ClassVar = {"Retry-After": "10"}

    def __init__(self) -> None:
        super().__init__("This account has as many queued tasks as it may have. Try again when some of them are done.")
