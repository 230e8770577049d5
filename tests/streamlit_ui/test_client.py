"""The client over real HTTP against the fake API."""

from datetime import UTC, datetime

import pytest

from streamlit_ui.client import Api, ApiProblem, VisitorApi
from streamlit_ui.shapes import Tokens


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
