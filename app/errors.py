"""Every problem the API can name, but those of tasks, of models and of the server: one class each, rendered by `app.api.problems`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field of a request."""

    field: str
    message: str


class Problem(Exception):
    """Base of all problems: what kind it is stands on the class, what happened this time in `detail`."""

    status: ClassVar[int]
    slug: ClassVar[str]
    title: ClassVar[str]
    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, detail: str, *, errors: Sequence[FieldError] = (), members: Mapping[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.members = dict(members or {})
        self.retry_after: int | None = None


class RequestInvalid(Problem):
    """Fields are missing, unknown or of the wrong shape."""

    status = 422
    slug = "request-invalid"
    title = "The request is not valid"

    @classmethod
    def because(cls, field: str, message: str) -> "RequestInvalid":
        """The problem of a single field."""
        return cls(f"{field}: {message}", errors=[FieldError(field, message)])


class NotAuthenticated(Problem):
    """No access token, or one that is damaged, forged, expired or of an account that is gone."""

    status = 401
    slug = "not-authenticated"
    title = "A valid access token is needed"
    headers: ClassVar = {"WWW-Authenticate": "Bearer"}


class CredentialsWrong(Problem):
    """The password is wrong or nobody has this e-mail address; which of the two is not told."""

    status = 401
    slug = "credentials-wrong"
    title = "E-mail address or password is wrong"
    headers: ClassVar = {"WWW-Authenticate": "Bearer"}

    def __init__(self) -> None:
        super().__init__("No active account has this e-mail address and this password.")


class RefreshTokenRefused(Problem):
    """A refresh token that is unknown, expired, revoked or was used before."""

    status = 401
    slug = "refresh-token-refused"
    title = "The refresh token is no longer good"
    headers: ClassVar = {"WWW-Authenticate": "Bearer"}

    def __init__(self) -> None:
        super().__init__("Sign in again.")


class Forbidden(Problem):
    """The account is known and may not do this."""

    status = 403
    slug = "forbidden"
    title = "This account may not do that"


class PathNotFound(Problem):
    """No resource has this path."""

    status = 404
    slug = "not-found"
    title = "There is nothing at this path"


class UserNotFound(Problem):
    """No user has the id."""

    status = 404
    slug = "user-not-found"
    title = "No such user"

    def __init__(self, user_id: str) -> None:
        super().__init__(f"There is no user {user_id!r}.")


class ItemNotFound(Problem):
    """No item has the id, or it is hidden from this account."""

    status = 404
    slug = "item-not-found"
    title = "No such item"

    def __init__(self, item_id: str) -> None:
        super().__init__(f"There is no item {item_id!r}.")


class ScheduleNotFound(Problem):
    """No schedule has the name."""

    status = 404
    slug = "schedule-not-found"
    title = "No such schedule"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no schedule {name!r}.")


class MethodNotAllowed(Problem):
    """The path exists and does not know the method."""

    status = 405
    slug = "method-not-allowed"
    title = "The path does not answer to this method"


class EmailTaken(Problem):
    """An account with this e-mail address exists."""

    status = 409
    slug = "email-taken"
    title = "The e-mail address is taken"

    def __init__(self, email: str) -> None:
        super().__init__(f"An account for {email} exists already.")


class UserExists(Problem):
    """A user with this id exists."""

    status = 409
    slug = "user-exists"
    title = "The user exists already"

    def __init__(self, user_id: str) -> None:
        super().__init__(f"There is a user {user_id!r} already.")


class ItemExists(Problem):
    """An item with this id exists."""

    status = 409
    slug = "item-exists"
    title = "The item exists already"

    def __init__(self, item_id: str) -> None:
        super().__init__(f"There is an item {item_id!r} already.")


class ScheduleExists(Problem):
    """A schedule with this name exists."""

    status = 409
    slug = "schedule-exists"
    title = "The schedule exists already"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a schedule {name!r} already.")


class ExperimentNotFound(Problem):
    """No experiment has the name, or it has ended."""

    status = 404
    slug = "experiment-not-found"
    title = "No such experiment"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no experiment {name!r} here.")


class ExperimentExists(Problem):
    """The name was used before, or another experiment is running."""

    status = 409
    slug = "experiment-exists"
    title = "The experiment cannot begin"

    def __init__(self, name: str, *, running: str | None) -> None:
        if running is None:
            super().__init__(f"There was an experiment {name!r} before: choose another name.")
        else:
            super().__init__(f"The experiment {running!r} is running; POST /experiments/{running}/end ends it.")


class ListReplaced(Problem):
    """The list that a cursor goes through is another one by now."""

    status = 409
    slug = "list-replaced"
    title = "The list was replaced"

    def __init__(self, user_id: str) -> None:
        super().__init__(f"The list of user {user_id!r} was replaced since the cursor was given. Begin again without a cursor.")


class BodyTooLarge(Problem):
    """More bytes than any request may have."""

    status = 413
    slug = "body-too-large"
    title = "The request body is too large"


class TooManySignIns(Problem):
    """Too many wrong passwords; `Retry-After` says for how many seconds not even the right one is looked at."""

    status = 429
    slug = "too-many-sign-ins"
    title = "Too many failed attempts to sign in"

    def __init__(self, *, retry_after: int) -> None:
        super().__init__(f"Wait {retry_after} s before the next attempt.")
        self.retry_after = retry_after
