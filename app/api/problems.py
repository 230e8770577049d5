"""Renders every problem, foreseen or not, as RFC 9457 `application/problem+json`, and documents it."""

import json
from collections import defaultdict
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

import psycopg
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from psycopg_pool import PoolTimeout
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException

from app.api.patterns import in_words
from app.errors import BodyTooLarge, FieldError, MethodNotAllowed, PathNotFound, Problem, RequestInvalid
from app.faults import ArtifactsNotReached, DatabaseUnavailable, Unexpected
from core.log import get_logger
from core.places import ArtifactsUnavailable

MEDIA_TYPE: Final = "application/problem+json"
ANYWHERE: Final[tuple[type[Problem], ...]] = (RequestInvalid, DatabaseUnavailable)

log = get_logger(__name__)


class FieldErrorOut(BaseModel):
    """What is wrong with one field."""

    field: str = Field(examples=["password"])
    message: str = Field(examples=["String should have at least 8 characters"])


class ProblemOut(BaseModel):
    """RFC 9457: what went wrong, for programs (`type`, `status`) and for people (`title`, `detail`)."""

    type: str = Field(examples=["/problems/request-invalid"])
    title: str = Field(examples=["The request is not valid"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["password: String should have at least 8 characters"])
    instance: str = Field(examples=["/api/v1/auth/register"])
    correlation_id: str = Field(examples=["5f0c9a4e7d524b0c8f1a2b3c4d5e6f70"])
    errors: list[FieldErrorOut] | None = Field(default=None, description="With `/problems/request-invalid`: each field that is wrong.")


def render(request: Request, problem: Problem) -> Response:
    """The answer that tells a problem."""
    body: dict[str, Any] = {
        "type": f"/problems/{problem.slug}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": request.url.path,
        "correlation_id": request.scope.get("correlation_id", ""),
    }
    if problem.errors:
        body["errors"] = [{"field": error.field, "message": error.message} for error in problem.errors]
    # ASCII, because a detail may repeat a character that UTF-8 cannot carry.
    content = json.dumps({**body, **problem.members})
    headers = dict(problem.headers)
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    return Response(content, problem.status, headers=headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Handle every exception a request can end with, and describe problems in the OpenAPI document."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(ArtifactsUnavailable, _on_artifacts_unavailable)
    for lost in (psycopg.OperationalError, PoolTimeout, DBAPIError):
        app.add_exception_handler(lost, _on_database_error)
    _describe(app)


def unexpected(request: Request, error: Exception) -> Response:
    """The answer to a fault of ours: nothing internal in it, everything in the log."""
    log.error("request failed", exc_info=error)
    return render(request, Unexpected())


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return render(request, error)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return render(request, invalid([_field_error(found) for found in error.errors()]))


def invalid(errors: Sequence[FieldError]) -> RequestInvalid:
    """The problem of several fields, the first told in its detail."""
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return RequestInvalid(f"{errors[0].field}: {errors[0].message}{more}", errors=errors)


def _field_error(found: dict[str, Any]) -> FieldError:
    where, *path = (str(part) for part in found["loc"])
    if found["type"] == "json_invalid":
        return FieldError("body", f"is not valid JSON: {found['ctx']['error']} at character {path[0]}")
    return FieldError(".".join(path) or where, _message(found))


def _message(found: dict[str, Any]) -> str:
    if found["type"] == "extra_forbidden":
        return "is not a known field"
    words = in_words(found["ctx"]["pattern"]) if found["type"] == "string_pattern_mismatch" else None
    return words or found["msg"].removeprefix("Value error, ")


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = render(request, _named(request, error))
    response.headers.update(error.headers or {})
    return response


def _named(request: Request, error: HTTPException) -> Problem:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return PathNotFound(f"Nothing answers at {request.url.path}; /docs lists what does.")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return MethodNotAllowed(f"{request.url.path} does not answer to {request.method}.")
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return BodyTooLarge("A request may have 10 MB at most.")
    if error.status_code == HTTPStatus.BAD_REQUEST:
        return RequestInvalid.because("body", "cannot be read as its Content-Type says")
    return Unexpected()


async def _on_artifacts_unavailable(request: Request, error: Exception) -> Response:
    log.warning("the artifact store does not answer", reason=str(error))
    return render(request, ArtifactsNotReached())


async def _on_database_error(request: Request, error: Exception) -> Response:
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, psycopg.OperationalError | PoolTimeout):
        return unexpected(request, error)
    log.warning("the database does not answer", reason=str(cause).strip())
    return render(request, DatabaseUnavailable())


def documented(*problems: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may raise these problems, or one of those that any route may."""
    by_status: defaultdict[int, list[type[Problem]]] = defaultdict(list)
    for problem in (*problems, *ANYWHERE):
        by_status[problem.status].append(problem)
    return {
        status: {
            "description": " · ".join(f"{problem.title} (`{problem.slug}`)" for problem in alike),
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "examples": {problem.slug: {"value": _example(problem)} for problem in alike},
                }
            },
        }
        for status, alike in sorted(by_status.items())
    }


def _example(problem: type[Problem]) -> dict[str, Any]:
    return {
        "type": f"/problems/{problem.slug}",
        "title": problem.title,
        "status": problem.status,
        "detail": " ".join((problem.__doc__ or "").split()),
        "instance": "/api/v1/…",
        "correlation_id": "5f0c9a4e7d524b0c8f1a2b3c4d5e6f70",
    }


def _describe(app: FastAPI) -> None:
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schema = ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(schema.pop("$defs"))
        schemas["Problem"] = {**schema, "title": "Problem"}
        for operation in (operation for path in document["paths"].values() for operation in path.values()):
            if "requestBody" in operation:
                operation["responses"]["413"] = documented(BodyTooLarge)[413]
        return document

    app.openapi = openapi  # type: ignore[method-assign]
