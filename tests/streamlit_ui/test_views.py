"""The views as Streamlit runs them, against the fake API."""

from datetime import UTC, datetime

import pytest
from streamlit.testing.v1 import AppTest

from streamlit_ui import state
from streamlit_ui.client import Api, VisitorApi
from streamlit_ui.sessions import Sessions, SessionTokens, Tickets
from streamlit_ui.settings import UiSettings
from streamlit_ui.shapes import ShownEntry

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


def press(app: AppTest, label: str) -> AppTest:
    return next(button for button in app.button if button.label == label).click().run()


def like(app: AppTest, title: str) -> AppTest:
    return press(app, f"Like {title}")


def like_five(fake, visitor: state.Visitor) -> None:
    """Before the test: the visitor's list is `list-5`, from Reel 59 downwards."""
    fake.interactions = [
        {"id": number, "user_id": visitor.user_id, "item_id": str(number), "item_title": "T", "type": "like", "value": 1.0,
         "occurred_at": "2026-01-01T00:00:00Z"} for number in range(5, 0, -1)
    ]  # fmt: skip


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
    like_five(fake, visitor)
    app = run("discover", visitor)
    assert "Reel 59" in words(app)
    app = like(app, "Reel 59")
    assert ">Reel 59<" not in words(app)
    assert words(app).count('class="mq-new"') == 1
    assert [toast.value for toast in app.toast] == ["You like Reel 59"]


def titles(fake, told: list[dict]) -> list[str]:
    known = {item["id"]: item["title"] for item in fake.items}
    return [known[entry["item_id"]] for entry in told]


def test_what_is_drawn_of_a_list_is_told_once(visitor, fake):
    like_five(fake, visitor)
    app = run("discover", visitor)
    (first,) = fake.told["impressions"]
    assert titles(fake, first) == [f"Reel {n}" for n in range(59, 35, -1)]
    assert [entry["position"] for entry in first] == list(range(1, 25))
    assert {(entry["list_id"], entry["user_id"]) for entry in first} == {("list-5", visitor.user_id)}
    app.run()
    app.button_group(key="discover-category").set_value("Drama").run()
    assert len(fake.told["impressions"]) == 1
    app.button_group(key="discover-category").set_value(None).run()
    app.button_group(key="discover-count").set_value(48).run()
    _, further = fake.told["impressions"]
    assert [entry["position"] for entry in further] == list(range(25, 49))
    assert fake.told["clicks"] == []


def test_a_new_list_is_told_anew_at_the_places_on_the_page(visitor, fake):
    like_five(fake, visitor)
    app = run("discover", visitor)
    app.button_group(key="discover-category").set_value("Drama").run()
    like(app, "Reel 56")
    dramas = fake.told["impressions"][-1]
    assert titles(fake, dramas) == ["Reel 52", "Reel 48", "Reel 44", "Reel 40", "Reel 36"]
    assert [(entry["list_id"], entry["position"]) for entry in dramas] == [("list-6", place) for place in range(1, 6)]


def test_a_deed_names_the_list_its_card_was_drawn_from(visitor, fake):
    like_five(fake, visitor)
    app = run("discover", visitor)
    arrived = visitor.visit.recommendations.model_copy(update={"list_id": "list-99"})
    visitor.visit.show(arrived)  # as when it is followed in the background
    like(app, "Reel 57")
    done = fake.interactions[0]
    assert (done["item_id"], done["list_id"]) == (fake.told["impressions"][0][2]["item_id"], "list-5")
    expected = {name: done[name] for name in ("list_id", "item_id", "user_id")} | {"position": 3}
    ((click,),) = fake.told["clicks"]
    assert datetime.fromisoformat(click.pop("occurred_at")) == datetime.fromisoformat(done["occurred_at"])
    assert click == expected


def test_stars_are_a_click_and_a_dislike_is_none(visitor, fake):
    like_five(fake, visitor)
    app = run("discover", visitor)
    app = press(app, "Not for me\\: Reel 59")
    assert (fake.interactions[0]["type"], fake.interactions[0]["list_id"]) == ("dislike", "list-5")
    assert fake.told["clicks"] == []
    app.feedback[0].set_value(0).run()
    assert (fake.interactions[0]["value"], fake.interactions[0]["list_id"]) == (1.0, "list-6")
    assert [(entry["list_id"], entry["position"]) for told in fake.told["clicks"] for entry in told] == [("list-6", 1)]


def test_a_deed_on_an_item_of_no_list_names_none(visitor, fake):
    like(run("browse", visitor), "Alien")
    assert "list_id" not in fake.interactions[0]
    assert fake.told == {"impressions": [], "clicks": []}


@pytest.mark.parametrize("status", [422, 503])
def test_what_cannot_be_told_disturbs_nobody_and_is_told_later(visitor, fake, status):
    like_five(fake, visitor)
    fake.refuses_to_be_told = status
    app = like(run("discover", visitor), "Reel 59")
    assert ">Reel 58<" in words(app)
    assert "mq-trouble" not in words(app)
    assert "goes on by itself" not in words(app)
    assert fake.told == {"impressions": [], "clicks": []}

    fake.refuses_to_be_told = 0
    app.run().run()
    (shown,), (clicked,) = fake.told["impressions"], fake.told["clicks"]
    assert [(entry["list_id"], entry["position"]) for entry in shown] == [(f"list-{n}", place) for n in (5, 6) for place in range(1, 25)]
    assert titles(fake, clicked) == ["Reel 59"]
    assert clicked[0]["list_id"] == "list-5"


def test_what_could_not_be_told_for_long_is_forgotten_oldest_first():
    feedback = state.Feedback()
    for number in range(state.MOST_UNTOLD + 1):
        feedback.note_shown([ShownEntry(list_id=f"list-{number}", item_id="1", position=1, occurred_at=datetime.now(UTC))])
    assert len(feedback.impressions) == state.MOST_UNTOLD
    assert feedback.impressions[0].list_id == "list-1"
    assert feedback.seen == {"1"}


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
