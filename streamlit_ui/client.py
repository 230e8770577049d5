"""The API as the interface reaches it: one thin client and one kind of problem; the only HTTP of the interface."""

import uuid
from collections.abc import Generator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, Protocol, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from streamlit_ui.shapes import Account, Category, Interaction, InteractionType, Item, Page, Recommendations, ShownEntry, Task, Tokens

CONNECT_SECONDS: Final = 3.0
ANSWER_SECONDS: Final = 15.0
TELLING_SECONDS: Final = 2.0
"""How long a page is held up for what its visitor does not wait for."""

Params = Mapping[str, str | int | None]


class ApiProblem(Exception):
    """The API refused, failed or could not be reached; `str()` is one sentence for people."""

    def __init__(self, *, title: str, detail: str | None, status: int | None, correlation_id: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__(detail or title)
        self.title = title
        self.detail = detail
        self.status = status
        self.correlation_id = correlation_id
        self.fields = fields
        """What is wrong with single fields, as `field: message`."""

    @property
    def is_unreachable(self) -> bool:
        """Whether the API is away for now, so that waiting may help."""
        return self.status is None or self.status in {502, 503, 504}

    @property
    def is_sign_in_ended(self) -> bool:
        """Whether only signing in again helps."""
        return self.status == httpx2.codes.UNAUTHORIZED


class TokenSource(Protocol):
    """Where the client gets the access token of a visitor."""

    def access_token(self, *, refused: str | None = None) -> str:
        """A token that is good for a while; `refused` is one the API did not take any more."""


class Api:
    """What anybody may ask; safe to share between threads."""

    def __init__(self, base_url: str, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._answer_seconds = answer_seconds
        self._http = httpx2.Client(base_url=base_url)

    def close(self) -> None:
        self._http.close()

    def is_up(self) -> bool:
        """Whether the API answers at all."""
        try:
            return self._http.get("/livez", timeout=CONNECT_SECONDS).is_success
        except httpx2.HTTPError:
            return False

    def register(self, *, email: str, password: str, name: str | None, preferred_categories: list[str]) -> Account:
        body = {"email": email, "password": password, "name": name, "preferred_categories": preferred_categories}
        return self.send(Account, "POST", "/auth/register", json=body)

    def sign_in(self, *, email: str, password: str, came_by: Sequence[str] = ()) -> Tokens:
        """`came_by` are the addresses the browser's request came by, its own first: the API counts wrong passwords by client."""
        forwarded = {"X-Forwarded-For": ", ".join(came_by)} if came_by else None
        return self.send(Tokens, "POST", "/auth/token", data={"username": email, "password": password}, headers=forwarded)

    def refresh(self, refresh_token: str) -> Tokens:
        """New tokens for the old refresh token, which is worthless afterwards."""
        return self.send(Tokens, "POST", "/auth/refresh", json={"refresh_token": refresh_token})

    def sign_out(self, refresh_token: str) -> None:
        self.send(None, "POST", "/auth/logout", json={"refresh_token": refresh_token})

    def categories(self) -> list[Category]:
        return self.send(Page[Category], "GET", "/categories").data

    def send(
        self,
        shape: "type[Shape] | None",
        method: str,
        path: str,
        *,
        params: Params | None = None,
        wait: float = 0.0,
        answer_seconds: float | None = None,
        headers: Mapping[str, str] | None = None,
        auth: httpx2.Auth | None = None,
        **body: Any,
    ) -> "Shape":
        """One call under `/api/v1`; raises `ApiProblem` for every answer but a good one of the given shape.

        `wait` is how long the API itself was asked to wait, in seconds; `answer_seconds` the patience with it, if other than usual.
        """
        correlation_id = uuid.uuid4().hex
        try:
            response = self._http.request(
                method,
                f"/api/v1{path}",
                params={name: value for name, value in (params or {}).items() if value is not None},
                headers={**(headers or {}), "X-Correlation-ID": correlation_id},
                timeout=httpx2.Timeout((answer_seconds or self._answer_seconds) + wait, connect=CONNECT_SECONDS),
                auth=auth,
                **body,
            )
        except httpx2.HTTPError as error:
            raise ApiProblem(
                title="The service cannot be reached",
                detail="The service cannot be reached right now.",
                status=None,
                correlation_id=correlation_id,
            ) from error
        if not response.is_success:
            raise _problem(response, correlation_id)
        if shape is None:
            return None  # type: ignore[return-value]  # the caller asked for nothing
        try:
            return shape.model_validate_json(response.content)
        except ValidationError as error:
            raise _not_understood(response.status_code, correlation_id) from error


Shape = TypeVar("Shape", bound=BaseModel)


def _not_understood(status: int, correlation_id: str) -> ApiProblem:
    return ApiProblem(
        title="Not understood",
        detail="The service gave an answer that this page does not understand.",
        status=status,
        correlation_id=correlation_id,
    )


def _problem(response: httpx2.Response, correlation_id: str) -> ApiProblem:
    correlation_id = response.headers.get("X-Correlation-ID", correlation_id)
    try:
        told = response.json()
        title, detail = str(told["title"]), told.get("detail")
        fields = tuple(f"{error['field']}: {error['message']}" for error in told.get("errors") or ())
    except (ValueError, KeyError, TypeError, AttributeError):
        return _not_understood(response.status_code, correlation_id)
    return ApiProblem(title=title, detail=detail, status=response.status_code, correlation_id=correlation_id, fields=fields)


class _Bearer(httpx2.Auth):
    def __init__(self, tokens: TokenSource) -> None:
        self._tokens = tokens

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        token = self._tokens.access_token()
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == httpx2.codes.UNAUTHORIZED:
            request.headers["Authorization"] = f"Bearer {self._tokens.access_token(refused=token)}"
            yield request


class VisitorApi:
    """What a signed-in visitor may ask."""

    def __init__(self, api: Api, tokens: TokenSource) -> None:
        self._api = api
        self._auth = _Bearer(tokens)

    def me(self) -> Account:
        return self._send(Account, "GET", "/auth/me")

    def items(self, *, query: str | None = None, category: str | None = None, limit: int = 24, cursor: str | None = None) -> Page[Item]:
        params = {"query": query or None, "category": category, "limit": limit, "cursor": cursor}
        return self._send(Page[Item], "GET", "/items", params=params)

    def popular(self, *, limit: int = 24) -> list[Item]:
        return self._send(Page[Item], "GET", "/items/popular", params={"limit": limit}).data

    def categories(self) -> list[Category]:
        return self._send(Page[Category], "GET", "/categories").data

    def interactions(self, user_id: str, *, limit: int = 50, cursor: str | None = None) -> Page[Interaction]:
        params: Params = {"user_id": user_id, "limit": limit, "cursor": cursor}
        return self._send(Page[Interaction], "GET", "/interactions", params=params)

    def record(
        self,
        *,
        user_id: str,
        item_id: str,
        kind: InteractionType,
        occurred_at: datetime,
        value: float | None = None,
        list_id: str | None = None,
    ) -> Interaction:
        """Tell what the user did, and with which list before them; the same moment, item and kind told again replaces the value."""
        body: dict[str, Any] = {"user_id": user_id, "item_id": item_id, "type": kind, "occurred_at": occurred_at.isoformat()}
        if value is not None:
            body["value"] = value
        if list_id is not None:
            body["list_id"] = list_id
        return self._send(Interaction, "POST", "/interactions", json=body)

    def tell(self, event: Literal["impressions", "clicks"], entries: Iterable[ShownEntry], *, user_id: str) -> None:
        """Tell which entries were shown to the user or clicked; the same list and item told again changes nothing."""
        told = [{**entry.model_dump(mode="json"), "user_id": user_id} for entry in entries]
        self._send(None, "POST", f"/{event}", json={"data": told}, answer_seconds=TELLING_SECONDS)

    def recommendations(self, user_id: str, *, count: int = 24, wait: int = 0) -> Recommendations:
        """The list; up to `wait` seconds are spent on a fresh one."""
        params: Params = {"count": count, "wait": wait}
        return self._send(Recommendations, "GET", f"/recommendations/{user_id}", params=params, wait=wait)

    def tasks(self, *, owner: str | None = None, limit: int = 20) -> list[Task]:
        return self._send(Page[Task], "GET", "/tasks", params={"owner": owner, "limit": limit}).data

    def submit(self, kind: str, payload: Mapping[str, Any]) -> Task:
        # The key makes a repeated request harmless, whoever repeats it on the way.
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        return self._send(Task, "POST", "/tasks", json={"kind": kind, "payload": dict(payload)}, headers=headers)

    def cancel(self, task_id: str) -> Task:
        return self._send(Task, "POST", f"/tasks/{task_id}/cancel")

    def requeue(self, task_id: str) -> Task:
        """Give a failed or dead task new attempts; for administrators."""
        return self._send(Task, "POST", f"/tasks/{task_id}/requeue")

    def _send(self, shape: type[Shape] | None, method: str, path: str, **options: Any) -> Shape:
        return self._api.send(shape, method, path, auth=self._auth, **options)
