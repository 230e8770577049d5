"""Query parameters: many as one model, and those that nobody asked for."""

from difflib import get_close_matches
from typing import Any, Generic, TypeVar

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from app.errors import RequestInvalid

ModelT = TypeVar("ModelT", bound=BaseModel)


class QueryOf(Generic[ModelT]):
    """A dependency that reads the query into a model: what is given, at once.

    FastAPI's own query models look each field up for itself, which for twenty takes a sixth of the time that a whole list does. It does
    not know of this one: give `documented` to the route as its `openapi_extra`.
    """

    def __init__(self, model: type[ModelT]) -> None:
        fields: dict[str, dict[str, Any]] = model.model_json_schema()["properties"]
        self._model = model
        self._lists = frozenset(name for name, schema in fields.items() if schema.get("type") == "array")
        self.documented = {"parameters": [_parameter(name, schema) for name, schema in fields.items()]}

    async def __call__(self, request: Request) -> ModelT:
        """The model. Raises `RequestValidationError`."""
        given: dict[str, Any] = {}
        for name, text in request.query_params.multi_items() if request.scope["query_string"] else ():
            if name in self._lists:
                given.setdefault(name, []).append(text)
            else:
                given[name] = text
        try:
            return self._model.model_validate(given)
        except ValidationError as error:
            raise RequestValidationError(
                [{**found, "loc": ("query", *found["loc"])} for found in error.errors(include_url=False)]
            ) from None


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    shown = {key: value for key, value in schema.items() if key != "default" or value is not None}
    return {"name": name, "in": "query", "required": False, "description": schema["description"], "schema": shown}


async def refuse_unknown(request: Request) -> None:
    """A dependency for all routes: a parameter that the route does not know is refused, so that a misspelt one is not silently ignored.

    Raises `RequestInvalid`, which names the parameter that may be meant, or all there are.
    """
    if not request.scope["query_string"]:
        return
    known = _known(request.scope["route"])
    for name in request.query_params:
        if name not in known:
            meant = get_close_matches(name, known, n=1)
            advice = f"did you mean {meant[0]}?" if meant else f"known are {', '.join(known)}" if known else "there are none here"
            raise RequestInvalid.because(name[:100], f"is not a known query parameter; {advice}")


def _known(route: APIRoute) -> list[str]:
    """The names of all query parameters of a route, those too that it only documents because a `QueryOf` reads them."""
    return sorted({*_read_by(route.dependant), *(told["name"] for told in (route.openapi_extra or {}).get("parameters", ()))})


def _read_by(dependant: Dependant) -> set[str]:
    return {field.alias for field in dependant.query_params}.union(*map(_read_by, dependant.dependencies))
