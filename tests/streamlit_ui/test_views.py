"""The views as Streamlit runs them, against the fake API."""

import pytest
from streamlit.testing.v1 import AppTest

from streamlit_ui import state
from streamlit_ui.client import Api, VisitorApi
from streamlit_ui.sessions import Sessions, SessionTokens, Tickets
from streamlit_ui.settings import UiSettings

SECONDS = 20


@pytest.fixture
def visitor(fake, api_url, tmp_path):
    """Vera, signed in, on a site of her own."""
    api = Api(api_url)
    site = state.Site(UiSettings(api_url=api_url), api, Sessions(tmp_path, api), Tickets())
    state.install(site)
    fake.add_account("vera@example.org", "long enough", name="Vera")
    session = site.sessions.create(api.sign_in(email="vera@example.org", password="long enough"))
    signed_in = VisitorApi(api, SessionTokens(site.sessions, session))
    yield state.Visitor(signed_in, state.Visit(account=signed_in.me()))
    api.close()


def run(view: str, visitor: state.Visitor) -> AppTest:
    def script(view, visitor):
        import importlib

        importlib.import_module(f"streamlit_ui.views.{view}").show(visitor)

    return AppTest.from_function(script, default_timeout=SECONDS, kwargs={"view": view, "visitor": visitor}).run()


def words(app: AppTest) -> str:
    assert not app.exception
    return " ".join(element.proto.body for element in app.get("html"))


def like(app: AppTest, title: str) -> AppTest:
    return next(button for button in app.button if button.label == f"Like {title}").click().run()


def test_a_new_visitor_is_asked_for_five_and_then_has_a_list(visitor):
    app = run("discover", visitor)
    assert "Rate five films to get your own list" in words(app)
    for title in ("Toy Story", "Casablanca", "Alien", "Chinatown"):
        app = like(app, title)
    assert "4 of 5" in words(app)
    assert "Chinatown" not in [button.label.removeprefix("Like ") for button in app.button]
    app = like(app, "Amélie")
    assert "Made for you, Vera" in words(app)
    assert "Because you watched <em>Toy Story</em>" in words(app)
    assert [pill.label for pill in app.get("button_group")][:1] == ["Show only"]


def test_the_list_follows_a_click_and_says_what_is_new(visitor, fake):
    for number in range(1, 6):
        fake.interactions.insert(0, {"id": number, "user_id": visitor.user_id, "item_id": str(number), "item_title": "T", "type": "like",
                                     "value": 1.0, "occurred_at": "2026-01-01T00:00:00Z"})  # fmt: skip
    app = run("discover", visitor)
    assert "Reel 59" in words(app)
    app = like(app, "Reel 59")
    assert ">Reel 59<" not in words(app)
    assert words(app).count('class="mq-new"') == 1
    assert [toast.value for toast in app.toast] == ["You like Reel 59"]


def test_a_refused_click_is_told_in_one_sentence_and_the_page_stays(visitor):
    app = like(run("browse", visitor), "Babe")
    assert "There is no item 13." in words(app)
    assert "reference" in words(app)
    assert ">Alien<" in words(app)


def test_a_click_is_told_again_when_the_api_is_back(visitor, fake):
    app = run("browse", visitor)
    fake.is_broken = True
    app = like(app, "Alien")
    assert "goes on by itself" in words(app)
    assert fake.interactions == []
    fake.is_broken = False
    app.run()
    assert [event["item_id"] for event in fake.interactions] == ["4"]


def test_hostile_titles_stay_text(visitor):
    app = run("browse", visitor)
    assert "&lt;b&gt;Tag &amp; Title&lt;/b&gt;" in words(app)
    assert "<b>Tag" not in words(app)


def test_browse_finds_by_title(visitor):
    app = run("browse", visitor)
    app.text_input(key="browse-query").set_value("space").run()
    assert ">2001: A Space Odyssey<" in words(app)
    assert ">Alien<" not in words(app)
    app.text_input(key="browse-query").set_value("nothing like it").run()
    assert "Nothing by that name" in words(app)


def test_history_is_empty_and_says_what_fills_it_then_lists(visitor):
    assert "Rate or like a film" in words(run("history", visitor))
    like(run("browse", visitor), "Alien")
    assert "You like</span> <b>Alien</b>" in words(run("history", visitor))


def test_a_visitor_orders_a_list_and_cancels(visitor, fake):
    fake.task_seconds = 600.0
    app = run("tasks", visitor)
    assert [button.label for button in app.button] == ["Compute my list now"]
    app.button[0].click().run()
    assert "Running" in words(app)
    next(button for button in app.button if button.label == "Cancel").click().run()
    assert "Cancelled" in words(app)


def test_an_administrator_may_order_more(visitor):
    visitor.visit.account = visitor.account.model_copy(update={"role": "admin"})
    labels = [button.label for button in run("tasks", visitor).button]
    assert labels == ["Compute my list now", "Train a model", "Refresh all lists"]


def test_only_an_administrator_may_have_a_failed_task_tried_again(visitor, fake):
    fake.task_seconds = 600.0
    run("tasks", visitor).button[0].click().run()
    fake.tasks[0].update(state="dead", error={"code": "boom", "message": "it broke"}, finished_at=fake.tasks[0]["created_at"])
    app = run("tasks", visitor)
    assert "it broke." in words(app)
    assert "Try again" not in [button.label for button in app.button]

    fake.accounts["vera@example.org"]["account"]["role"] = "admin"
    visitor.visit.account = visitor.account.model_copy(update={"role": "admin"})
    app = run("tasks", visitor)
    next(button for button in app.button if button.label == "Try again").click().run()
    assert "Running" in words(app)
    assert "Cancel" in [button.label for button in app.button]


def test_an_account_without_a_viewer_is_told_so(visitor):
    visitor.visit.account = visitor.account.model_copy(update={"user_id": None})
    assert "No list for this account" in words(run("discover", visitor))
    assert "Nothing here yet" in words(run("history", visitor))
    assert run("browse", visitor).exception == []
