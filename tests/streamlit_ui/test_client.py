"""The client over real HTTP against the fake API."""

import socket
import time
from datetime import UTC, datetime

import pytest

from streamlit_ui.client import ANSWER_SECONDS, Api, ApiProblem, VisitorApi
from streamlit_ui.shapes import ShownEntry, Tokens


class FixedTokens:
    """A token source that takes what it is given and remembers what was refused."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)
        self.refused: list[str] = []

    def access_token(self, *, refused: str | None = None) -> str:
        if refused is not None:
            self.refused.append(refused)
            self.tokens.pop(0)
        return self.tokens[0]


@pytest.fixture
def api(api_url):
    api = Api(api_url)
    yield api
    api.close()


def sign_up(api: Api, email: str = "vera@example.org") -> Tokens:
    api.register(email=email, password="long enough", name="Vera", preferred_categories=["Drama"])
    return api.sign_in(email=email, password="long enough")


def test_a_visitor_registers_rates_and_gets_a_list_with_reasons(api):
    visitor = VisitorApi(api, FixedTokens(sign_up(api).access_token))
    account = visitor.me()
    assert (account.email, account.role, account.name) == ("vera@example.org", "user", "Vera")
    event = visitor.record(user_id=account.user_id, item_id="1", kind="rating", value=4.5, occurred_at=datetime.now(UTC))
    assert (event.item_id, event.value) == ("1", 4.5)
    assert visitor.interactions(account.user_id).data[0].item_title == "Matrix, The (1999)"
    made = visitor.recommendations(account.user_id, count=5, wait=1)
    assert [entry.position for entry in made.entries] == [1, 2, 3, 4, 5]
    assert made.entries[0].reason.type == "because_you_watched"


SHOWN = ShownEntry(list_id="list-5", item_id="4", position=3, occurred_at=datetime(2026, 1, 1, tzinfo=UTC))


def test_what_is_shown_clicked_and_done_names_its_list(api, fake):
    visitor = VisitorApi(api, FixedTokens(sign_up(api).access_token))
    visitor.tell("impressions", [SHOWN, SHOWN.model_copy(update={"item_id": "5", "position": 4})], user_id="u")
    visitor.tell("clicks", [SHOWN], user_id="u")
    visitor.record(user_id="u", item_id="4", kind="like", occurred_at=SHOWN.occurred_at, list_id="list-5")
    first = {"list_id": "list-5", "item_id": "4", "position": 3, "occurred_at": "2026-01-01T00:00:00Z", "user_id": "u"}
    assert fake.told == {"impressions": [[first, {**first, "item_id": "5", "position": 4}]], "clicks": [[first]]}
    assert fake.interactions[0]["list_id"] == "list-5"


def test_a_page_is_not_held_up_by_an_api_that_does_not_answer_what_it_is_told():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        api = Api(f"http://127.0.0.1:{silent.getsockname()[1]}")
        begun = time.monotonic()
        with pytest.raises(ApiProblem) as trouble:
            VisitorApi(api, FixedTokens("any")).tell("impressions", [SHOWN], user_id="u")
        api.close()
    assert trouble.value.is_unreachable
    assert time.monotonic() - begun < ANSWER_SECONDS / 2


def test_a_sign_in_tells_where_it_came_from(api, fake):
    sign_up(api)
    assert fake.signed_in_from[-1] is None
    api.sign_in(email="vera@example.org", password="long enough", came_by=["203.0.113.9", "10.0.0.2"])
    assert fake.signed_in_from[-1] == "203.0.113.9, 10.0.0.2"


def test_items_come_in_pages(api):
    visitor = VisitorApi(api, FixedTokens(sign_up(api).access_token))
    first = visitor.items(query="reel", limit=50)
    rest = visitor.items(query="reel", limit=50, cursor=first.next_cursor)
    assert (len(first.data), len(rest.data), rest.next_cursor) == (50, 9, None)
    assert visitor.popular(limit=3)[0].interaction_count == 9
    assert "Film-Noir" in {category.name for category in api.categories()}


def test_a_task_is_submitted_listed_and_cancelled(api):
    visitor = VisitorApi(api, FixedTokens(sign_up(api).access_token))
    task = visitor.submit("recommend", {"user_id": "u"})
    assert task.is_active
    assert [known.id for known in visitor.tasks()] == [task.id]
    assert visitor.cancel(task.id).state == "cancelled"


def test_a_refused_access_token_is_replaced_once(api):
    tokens = FixedTokens("stale", sign_up(api).access_token)
    assert VisitorApi(api, tokens).me().email == "vera@example.org"
    assert tokens.refused == ["stale"]
    with pytest.raises(ApiProblem) as refusal:
        VisitorApi(api, FixedTokens("stale", "stale too")).me()
    assert refusal.value.is_sign_in_ended


def test_a_problem_carries_its_words_and_the_correlation_id(api):
    sign_up(api)
    with pytest.raises(ApiProblem) as taken:
        sign_up(api, "VERA@example.org")
    assert (taken.value.status, taken.value.title) == (409, "E-mail taken")
    assert str(taken.value) == "An account with this e-mail exists already."
    assert len(taken.value.correlation_id) == 32
    with pytest.raises(ApiProblem) as invalid:
        api.register(email="nobody", password="long enough", name=None, preferred_categories=[])
    assert invalid.value.fields == ("email: is not an e-mail address",)


def test_an_answer_that_is_no_problem_document_is_told_as_one_sentence(api, fake):
    visitor = VisitorApi(api, FixedTokens(sign_up(api).access_token))
    fake.is_broken = True
    with pytest.raises(ApiProblem, match="does not understand") as broken:
        visitor.me()
    assert broken.value.is_unreachable
    assert "<html>" not in str(broken.value)


def test_an_api_that_is_away_is_a_problem_with_an_id_to_ask_for():
    api = Api("http://127.0.0.1:9")
    assert not api.is_up()
    with pytest.raises(ApiProblem, match="cannot be reached") as away:
        api.sign_in(email="a@example.org", password="whatever")
    assert away.value.is_unreachable
    assert len(away.value.correlation_id) == 32
    api.close()


def test_tokens_do_not_show_in_a_representation():
    tokens = Tokens(access_token="aaa", refresh_token="bbb", expires_in=1)
    assert "aaa" not in repr(tokens)
    assert "bbb" not in repr(tokens)
