"""The problems that are not the caller's: something of the server does not answer, or is wrong."""

from typing import ClassVar

from app.errors import Problem


class Unexpected(Problem):
    """A fault of the server; the log tells more under the correlation id."""

    status = 500
    slug = "unexpected"
    title = "The server met an unexpected condition"

    def __init__(self) -> None:
        super().__init__("The operator finds the cause in the log under the correlation id.")


class ArtifactsNotReached(Problem):
    """The artifact store does not answer; the same request may be sent again soon."""

    status = 503
    slug = "artifacts-not-reached"
    title = "The artifact store does not answer"
    headers: ClassVar = {"Retry-After": "10"}

    def __init__(self) -> None:
        super().__init__("Try again in a moment; the operator finds the cause in the log.")


class DatabaseUnavailable(Problem):
    """The database does not answer; the same request may be sent again soon."""

    status = 503
    slug = "database-unavailable"
    title = "The database does not answer"
    headers: ClassVar = {"Retry-After": "2"}

    def __init__(self) -> None:
        super().__init__("Try again in a moment.")
