"""Queries read into models: the answers and the document of FastAPI's own query models, beside it."""

from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Header, Query
from starlette.testclient import TestClient

from app.api import problems
from app.api.queries import QueryOf
from app.api.routes.recommendations import Asked

QUERY = QueryOf(Asked)


@pytest.fixture
def both():
    app = FastAPI()
    problems.install(app)

    @app.get("/ours", openapi_extra=QUERY.documented)
    async def ours(asked: Annotated[Asked, Depends(QUERY)], agent: Annotated[str, Header()]) -> dict[str, Any]:
        return asked.model_dump()

    @app.get("/theirs")
    async def theirs(asked: Annotated[Asked, Query()], agent: Annotated[str, Header()]) -> dict[str, Any]:
        return asked.model_dump()

    return TestClient(app)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "count=3&category=Comedy&category=Drama&exclude=m1",
        "count=3&count=4",  # the last one
        "category=",
        "exclude=",
        "count=",
        "year_from=",
        "fresh=yes&strict=0",
        "wait=2.5&diversity=1e-1",
        "unknown=1&tags=%C3%A9&tags=a%20b",
        "count=0&match=some&exclude=%00&exclude=ok&cursor=x",
        "wait=nan&model=9223372036854775808",
        "&".join(f"category=c{n}" for n in range(21)),
        "category=%00",
        "count",
        "tags=%FF",
    ],
)
def test_a_query_is_read_as_fastapi_reads_it(both, query):
    ours, theirs = (both.get(f"{path}?{query}", headers={"agent": "x"}) for path in ("/ours", "/theirs"))
    assert ours.status_code == theirs.status_code
    assert {**ours.json(), "instance": "", "correlation_id": ""} == {**theirs.json(), "instance": "", "correlation_id": ""}


def test_the_query_is_documented_as_fastapi_documents_it(both):
    paths = both.get("/openapi.json").json()["paths"]
    ours, theirs = ({(told["in"], told["name"]): told for told in paths[path]["get"]["parameters"]} for path in ("/ours", "/theirs"))
    assert ours == theirs


@pytest.mark.parametrize(
    ("path", "name", "advice"),
    [
        ("/recommendations/{user}?diveristy=0.5", "diveristy", "did you mean diversity?"),
        ("/recommendations/{user}?count=3&categories=Drama", "categories", "did you mean category?"),
        ("/charts/popular?usr_id=1", "usr_id", "did you mean user_id?"),
        ("/tasks?status=failed", "status", "did you mean state?"),
        ("/auth/me?x=1", "x", "there are none here"),
        ("/categories?%00=1", "\x00", "there are none here"),
    ],
)
def test_a_parameter_that_nobody_knows_is_refused_and_not_ignored(visitor, complaint, path, name, advice):
    (told,) = complaint(visitor.get(path.format(user=visitor.user_id))).items()
    assert told == (name, f"is not a known query parameter; {advice}")


def test_all_parameters_are_named_where_none_is_alike(visitor, complaint):
    assert complaint(visitor.get(f"/recommendations/{visitor.user_id}/events?zzz=1"))["zzz"].endswith("there are none here")
    told = complaint(visitor.get("/items/m1/similar?zzz=1"))["zzz"]
    assert told.endswith("known are category, count, exclude, match, offset, tags, user_id, year_from, year_to")
