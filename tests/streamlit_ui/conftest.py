"""A small API in memory that keeps the HTTP contract, served on a real port: what the interface is tested against."""

import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route


@pytest.fixture(autouse=True)
def keep_main_module() -> Iterator[None]:
    """Streamlit's AppTest puts its script in the place of `__main__`, and processes that are spawned later would run it."""
    kept = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = kept


TITLES = [
    ("Matrix, The (1999)", ["Action", "Sci-Fi", "Thriller"]),
    ("Toy Story (1995)", ["Adventure", "Animation", "Children", "Comedy", "Fantasy"]),
    ("Casablanca (1942)", ["Drama", "Romance"]),
    ("Alien (1979)", ["Horror", "Sci-Fi"]),
    ("Good, the Bad and the Ugly, The (Buono, il brutto, il cattivo, Il) (1966)", ["Action", "Adventure", "Western"]),
    ("Singin' in the Rain (1952)", ["Comedy", "Musical", "Romance"]),
    ("Chinatown (1974)", ["Crime", "Film-Noir", "Mystery", "Thriller"]),
    ("Spirited Away (2001)", ["Adventure", "Animation", "Fantasy"]),
    ("Hoop Dreams (1994)", ["Documentary"]),
    ("Apocalypse Now (1979)", ["Action", "Drama", "War"]),
    ("Amélie (2001)", ["Comedy", "Romance"]),
    ("Silence of the Lambs, The (1991)", ["Crime", "Horror", "Thriller"]),
    ("Babe (1995)", ["Children", "Drama"]),
    ("<b>Tag & Title</b>", ["Mystery"]),
    ("2001: A Space Odyssey (1968)", ["Adventure", "Drama", "Sci-Fi"]),
    ("Third Man, The (1949)", ["Film-Noir", "Mystery", "Thriller"]),
    ("Dr. Strangelove or: How I Learned to Stop Worrying and Love the Bomb (1964)", ["Comedy", "War"]),
    ("Nosferatu (1922)", ["Horror"]),
    *((f"Reel {n}", [["Drama", "Comedy", "Thriller", "Fantasy"][n % 4]]) for n in range(1, 60)),
]


def now() -> str:
    return datetime.now(UTC).isoformat()


class FakeApi:
    """The state of the fake and its endpoints."""

    def __init__(self) -> None:
        self.items = [{"id": str(n), "title": title, "categories": genres} for n, (title, genres) in enumerate(TITLES, start=1)]
        self.accounts: dict[str, dict[str, Any]] = {}
        self.access: dict[str, str] = {}
        self.refresh: dict[str, str] = {}
        self.used_refresh: set[str] = set()
        self.interactions: list[dict[str, Any]] = []
        self.told: dict[str, list[list[dict[str, Any]]]] = {"impressions": [], "clicks": []}
        self.refuses_to_be_told = 0
        self.tasks: list[dict[str, Any]] = []
        self.refresh_count = 0
        self.signed_in_from: list[str | None] = []
        self.access_seconds = 900.0
        self.task_seconds = 2.0
        self.is_broken = False
        self.add_account("admin@example.org", "admin-password", role="admin", name="Ada")

    def add_account(self, email: str, password: str, *, role: str = "user", name: str | None = None) -> dict[str, Any]:
        account = {"id": str(uuid.uuid4()), "email": email, "role": role, "user_id": f"u-{uuid.uuid4().hex[:12]}", "name": name}
        self.accounts[email.lower()] = {"account": account, "password": password}
        return account

    # answers

    def problem(self, request: Request, status: int, title: str, detail: str, **members: Any) -> Response:
        told = {"type": f"/problems/{status}", "title": title, "status": status, "detail": detail, **members}
        told["correlation_id"] = request.headers.get("x-correlation-id", "none")
        return JSONResponse(told, status, {"X-Correlation-ID": told["correlation_id"]}, media_type="application/problem+json")

    def tokens(self, email: str) -> Response:
        access, refresh = uuid.uuid4().hex, uuid.uuid4().hex
        self.access[access], self.refresh[refresh] = email, email
        return JSONResponse({"access_token": access, "token_type": "bearer", "expires_in": self.access_seconds, "refresh_token": refresh})

    def who(self, request: Request) -> dict[str, Any] | None:
        email = self.access.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        return self.accounts[email]["account"] if email else None

    def list_for(self, user_id: str) -> dict[str, Any]:
        met = [event["item_id"] for event in self.interactions if event["user_id"] == user_id]
        liked = [{"id": i["id"], "title": i["title"]} for i in self.items if i["id"] in met]
        entries = [
            {
                "position": n,
                "item": {**item, "image_url": None, "released_at": None},
                "score": 1 / n,
                "source": "personal",
                "reason": {"type": "because_you_watched", "items": liked[n % 3 :][:3]} if n % 4 else {"type": "popular", "items": []},
            }
            for n, item in enumerate((item for item in reversed(self.items) if item["id"] not in met), start=1)
        ]
        return {"user_id": user_id, "list_id": f"list-{len(met)}", "model_version": 1, "algorithm": "als", "computed_at": now(),
                "is_cold": not met, "is_stale": False, "task_id": None, "entries": entries}  # fmt: skip

    def task(self, task: dict[str, Any]) -> dict[str, Any]:
        """The task as it is by now: it runs as long as `task_seconds`."""
        if task["state"] in {"queued", "running"}:
            done = (time.monotonic() - task["_begun"]) / self.task_seconds
            task["state"] = "succeeded" if done >= 1 else "running"
            task["progress"], task["progress_note"] = min(done, 1.0), f"step {int(done * 10)} of 10"
            task["started_at"] = task["created_at"]
            task["finished_at"] = now() if done >= 1 else None
        return {name: value for name, value in task.items() if not name.startswith("_")}

    # endpoints

    async def register(self, request: Request) -> Response:
        body = await request.json()
        if body["email"].lower() in self.accounts:
            return self.problem(request, 409, "E-mail taken", "An account with this e-mail exists already.")
        if "@" not in body["email"]:
            errors = [{"field": "email", "message": "is not an e-mail address"}]
            return self.problem(request, 422, "Invalid input", "The request is not valid.", errors=errors)
        return JSONResponse(self.add_account(body["email"], body["password"], name=body.get("name")), 201)

    async def token(self, request: Request) -> Response:
        form = await request.form()
        self.signed_in_from.append(request.headers.get("x-forwarded-for"))
        known = self.accounts.get(str(form["username"]).lower())
        if known is None or known["password"] != form["password"]:
            return self.problem(request, 401, "Not signed in", "E-mail or password is wrong.")
        return self.tokens(str(form["username"]).lower())

    async def rotate(self, request: Request) -> Response:
        token = (await request.json())["refresh_token"]
        email = self.refresh.pop(token, None)
        if email is None:
            if token in self.used_refresh:  # reuse revokes the family
                self.refresh.clear()
            return self.problem(request, 401, "Not signed in", "The refresh token is not valid.")
        self.used_refresh.add(token)
        self.refresh_count += 1
        return self.tokens(email)

    async def logout(self, request: Request) -> Response:
        self.refresh.pop((await request.json())["refresh_token"], None)
        return Response(status_code=204)

    async def anything(self, request: Request) -> Response:
        account = self.who(request)
        if self.is_broken:
            return Response("<html>Bad gateway</html>", 502)
        if request.url.path.endswith("/categories"):
            names = sorted({genre for item in self.items for genre in item["categories"]})
            return JSONResponse({"data": [{"name": name, "item_count": 1} for name in names]})
        if account is None:
            return self.problem(request, 401, "Not signed in", "Sign in first.")
        return await getattr(self, request.scope["endpoint_name"])(request, account)

    async def me(self, _request: Request, account: dict[str, Any]) -> Response:
        return JSONResponse(account)

    async def popular(self, request: Request, _account: dict[str, Any]) -> Response:
        return JSONResponse({"data": [{**item, "interaction_count": 9} for item in self.items[: int(request.query_params["limit"])]]})

    async def search(self, request: Request, _account: dict[str, Any]) -> Response:
        query, category = request.query_params.get("query", "").lower(), request.query_params.get("category")
        found = [i for i in self.items if query in i["title"].lower() and (category is None or category in i["categories"])]
        start, limit = int(request.query_params.get("cursor", 0)), int(request.query_params["limit"])
        return JSONResponse(
            {"data": found[start : start + limit], "next_cursor": str(start + limit) if len(found) > start + limit else None}
        )

    async def record(self, request: Request, account: dict[str, Any]) -> Response:
        body = await request.json()
        if body["item_id"] == "13":
            return self.problem(request, 404, "No such item", "There is no item 13.")
        title = next(item["title"] for item in self.items if item["id"] == body["item_id"])
        event = {
            "id": len(self.interactions) + 1,
            "user_id": account["user_id"],
            "value": 1.0,
            "occurred_at": now(),
            "item_title": title,
            **body,
        }
        self.interactions.insert(0, event)
        return JSONResponse(event, 201)

    async def hear(self, request: Request, _account: dict[str, Any]) -> Response:
        """What was shown or clicked, one entry for each call; with `refuses_to_be_told`, that status instead."""
        if self.refuses_to_be_told:
            return self.problem(request, self.refuses_to_be_told, "Invalid input", "The request is not valid.")
        told = (await request.json())["data"]
        self.told[request.url.path.rsplit("/", 1)[-1]].append(told)
        return JSONResponse({"recorded_count": len(told), "outcomes": ["recorded"] * len(told)})

    async def events(self, request: Request, account: dict[str, Any]) -> Response:
        own = [event for event in self.interactions if event["user_id"] == account["user_id"]]
        return JSONResponse({"data": own[: int(request.query_params["limit"])], "next_cursor": None})

    async def recommendations(self, request: Request, account: dict[str, Any]) -> Response:
        made = self.list_for(account["user_id"])
        made["entries"] = made["entries"][: int(request.query_params["count"])]
        return JSONResponse(made)

    async def submit(self, request: Request, account: dict[str, Any]) -> Response:
        body = await request.json()
        task = {"id": str(uuid.uuid4()), "kind": body["kind"], "state": "queued", "owner": account["id"], "created_at": now()}
        task |= {"progress": 0.0, "attempt": 1, "max_attempts": 3, "error": None, "result": None, "_begun": time.monotonic()}
        self.tasks.insert(0, task)
        return JSONResponse(self.task(task), 202)

    async def own_tasks(self, _request: Request, account: dict[str, Any]) -> Response:
        return JSONResponse({"data": [self.task(task) for task in self.tasks if task["owner"] == account["id"]], "next_cursor": None})

    async def cancel(self, request: Request, _account: dict[str, Any]) -> Response:
        task = next(task for task in self.tasks if task["id"] == request.path_params["task_id"])
        task.update(state="cancelled", cancel_requested=True, finished_at=now())
        return JSONResponse(self.task(task), 202)

    async def requeue(self, request: Request, account: dict[str, Any]) -> Response:
        task = next(task for task in self.tasks if task["id"] == request.path_params["task_id"])
        if account["role"] != "admin":
            return self.problem(request, 403, "This account may not do that", "This takes the role admin.")
        if task["state"] not in {"failed", "dead"}:
            return self.problem(request, 409, "The task cannot be requeued", "Only failed and dead tasks can be requeued.")
        task.update(state="queued", attempt=0, error=None, finished_at=None, _begun=time.monotonic())
        return JSONResponse(self.task(task), 202)

    def application(self) -> Starlette:
        def named(path: str, name: str, *methods: str) -> Route:
            async def endpoint(request: Request) -> Response:
                request.scope["endpoint_name"] = name
                return await self.anything(request)

            return Route(path, endpoint, methods=list(methods) or ["GET"])

        async def livez(_request: Request) -> Response:
            return JSONResponse({"status": "ok"})

        routes = [
            Route("/auth/register", self.register, methods=["POST"]),
            Route("/auth/token", self.token, methods=["POST"]),
            Route("/auth/refresh", self.rotate, methods=["POST"]),
            Route("/auth/logout", self.logout, methods=["POST"]),
            named("/auth/me", "me"),
            named("/categories", "categories"),
            named("/items/popular", "popular"),
            named("/items", "search"),
            named("/interactions", "record", "POST"),
            named("/interactions", "events"),
            named("/impressions", "hear", "POST"),
            named("/clicks", "hear", "POST"),
            named("/recommendations/{user_id}", "recommendations"),
            named("/tasks", "submit", "POST"),
            named("/tasks", "own_tasks"),
            named("/tasks/{task_id}/cancel", "cancel", "POST"),
            named("/tasks/{task_id}/requeue", "requeue", "POST"),
        ]
        return Starlette(routes=[Route("/livez", livez), Mount("/api/v1", routes=routes)])


class Serving:
    """An application on a free port of this machine, in a thread."""

    def __init__(self, application: Any, *, port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(application, log_level="error", lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]})

    def __enter__(self) -> "Serving":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()


@pytest.fixture
def fake() -> FakeApi:
    return FakeApi()


@pytest.fixture
def api_url(fake: FakeApi) -> Iterator[str]:
    """Where the fake answers."""
    with Serving(fake.application()) as serving:
        yield serving.url
