"""The first story of an instance, told through the API like any client: train, rate a few items, get a list with reasons."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx2

from cli.refusal import Refusal

TASK_TIMEOUT_SECONDS = 600.0
RATED_ITEMS = 6
FAVOURITES = 2
LIKED_STARS = 4.0

Report = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class PersonalList:
    """A list as the API gave it, with the titles its user liked best."""

    user_id: str
    liked: list[str]
    answer: dict[str, Any]


class Client:
    """A signed-in client of the API."""

    def __init__(self, api_url: str) -> None:
        self._http = httpx2.Client(base_url=f"{api_url}/api/v1", timeout=60.0)

    def sign_in(self, *, email: str, password: str) -> str:
        """Sign in and return the id of the account's own user."""
        token = self._send("POST", "/auth/token", data={"username": email, "password": password})["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"
        return str(self.get("/auth/me")["user_id"])

    def get(self, path: str, **params: Any) -> Any:
        """The JSON of a GET."""
        return self._send("GET", path, params=params)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The JSON answer to a POST."""
        return self._send("POST", path, json=body)

    def finish(self, kind: str, payload: dict[str, Any], report: Report) -> dict[str, Any]:
        """Submit a task, or join the one under way, and follow it to its end; a `Refusal` with its error if it did not succeed."""
        answer = self._http.post("/tasks", json={"kind": kind, "payload": payload})
        task = _checked(answer) if answer.status_code != httpx2.codes.CONFLICT else self.get(f"/tasks/{answer.json()['task_id']}")
        deadline = time.monotonic() + TASK_TIMEOUT_SECONDS
        while task["finished_at"] is None and time.monotonic() < deadline:
            report(task["progress"], task["progress_note"] or task["state"])
            task = self.get(f"/tasks/{task['id']}", wait=1)
        if task["state"] != "succeeded":
            reason = (task["error"] or {}).get("message", f"it is still {task['state']} after {TASK_TIMEOUT_SECONDS:.0f} s")
            raise Refusal(f"the task {kind} ({task['id']}) did not succeed: {reason}")
        report(1.0, "done")
        return dict(task)

    def _send(self, method: str, path: str, **options: Any) -> Any:
        return _checked(self._http.request(method, path, **options))


def _checked(answer: httpx2.Response) -> Any:
    if answer.is_success:
        return answer.json()
    problem = answer.json() if "json" in answer.headers.get("Content-Type", "") else {}
    raise Refusal(
        f"the API answered {answer.status_code} to {answer.request.method} {answer.request.url}: {problem.get('detail', answer.text)}"
    )


def ensure_model(client: Client, report: Report) -> None:
    """Train the first model if there is none."""
    if not client.get("/models", status="live")["data"]:
        client.finish("train", {}, report)


def ensure_taste(client: Client, user_id: str) -> None:
    """Give a user without interactions a taste: the most watched items of two common categories are rated, one is disliked."""
    if client.get("/interactions", user_id=user_id, limit=1)["data"]:
        return
    categories = [category["name"] for category in client.get("/categories")["data"]]
    # Not the very largest: what everybody watches says little about a taste.
    favourites = categories[2 : 2 + FAVOURITES] or categories
    rated: set[str] = set()
    for category in favourites:
        for item in client.get("/items/popular", category=category, limit=RATED_ITEMS // FAVOURITES)["data"]:
            if item["id"] not in rated:
                rated.add(item["id"])
                client.post("/interactions", {"user_id": user_id, "item_id": item["id"], "type": "rating", "value": 5.0})


def fetch_list(client: Client, user_id: str, report: Report, *, count: int = 10) -> PersonalList:
    """Ask for a fresh list by a task and read it, with what the user liked best."""
    client.finish("recommend", {"user_id": user_id}, report)
    met = client.get("/interactions", user_id=user_id, limit=200)["data"]
    liked = [row["item_title"] for row in sorted(met, key=lambda row: -row["value"]) if _is_liked(row)]
    return PersonalList(user_id, liked, client.get(f"/recommendations/{user_id}", count=count))


def find_typical_user(client: Client, *, besides: str) -> str:
    """The id of a user with a history long enough to have a taste and short enough to be one of many."""
    user_ids: list[str] = [user["id"] for user in client.get("/users", limit=50)["data"] if user["id"] != besides]
    lengths = {user_id: len(client.get("/interactions", user_id=user_id, limit=200)["data"]) for user_id in user_ids[:10]}
    if not lengths:
        raise Refusal("the data has no users")
    return sorted(lengths, key=lambda user_id: (lengths[user_id], user_id))[len(lengths) // 2]


def _is_liked(interaction: dict[str, Any]) -> bool:
    return interaction["type"] == "like" or (interaction["type"] == "rating" and float(interaction["value"]) >= LIKED_STARS)


def word_reason(reason: dict[str, Any]) -> str:
    """A reason in words, naming the two items that speak most for the entry."""
    titles = [item["title"] for item in reason["items"][:2]]
    if titles:
        return f"because you liked {' and '.join(titles)}"
    if reason["type"] == "category":
        return f"more in {reason['category']}"
    return {"new": "new", "trending": "talked about this week"}.get(reason["type"], "popular now")
