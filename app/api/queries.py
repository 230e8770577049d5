"""Many query parameters as one model."""

from typing import Any, Generic, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

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
