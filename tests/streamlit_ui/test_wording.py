"""The words on the screen."""

from datetime import UTC, datetime, timedelta

import pytest

from streamlit_ui.client import ApiProblem
from streamlit_ui.components import wording
from streamlit_ui.shapes import Item, Reason, ReasonItem, Task

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("stored", "said", "year"),
    [
        ("Matrix, The (1999)", "The Matrix", 1999),
        ("Good, the Bad and the Ugly, The (Buono, il brutto, il cattivo, Il) (1966)", "The Good, the Bad and the Ugly", 1966),
        ("2001: A Space Odyssey (1968)", "2001: A Space Odyssey", 1968),
        ("Avventura, L' (1960)", "L'Avventura", 1960),
        ("Glass Passenger, Part 2", "Glass Passenger, Part 2", None),
        ("Brackets (unclosed", "Brackets (unclosed", None),
        ("(1984)", "(1984)", None),
    ],
)
def test_titles_are_said_as_people_say_them(stored, said, year):
    assert wording.title_and_year(Item(id="1", title=stored)) == (said, year)


def test_the_day_of_release_beats_the_year_in_the_title():
    assert wording.title_and_year(Item(id="1", title="Late (1990)", released_at=datetime(1991, 1, 1, tzinfo=UTC))) == ("Late", 1991)


def test_reasons_name_the_titles_that_speak_for_an_entry():
    items = [ReasonItem(id=str(n), title=title) for n, title in enumerate(["Matrix, The (1999)", "<i>Alien</i>", "Third"])]
    told = wording.reason_html(Reason(type="because_you_watched", items=items))
    assert told == "Because you watched <em>The Matrix</em> and <em>&lt;i&gt;Alien&lt;/i&gt;</em>"
    assert wording.reason_html(Reason(type="because_you_watched", items=items[:1])) == "Because you watched <em>The Matrix</em>"
    assert wording.reason_html(Reason(type="because_you_watched")) == "Popular now"
    assert wording.reason_html(Reason(type="popular")) == "Popular now"
    assert wording.reason_html(Reason(type="category", category="Film & Noir")) == "More in <em>Film &amp; Noir</em>"
    assert wording.reason_html(Reason(type="new")) == "New this month"


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("rating", 4.0, "You gave ★★★★ to"),
        ("rating", 0.5, "You gave ½ to"),
        ("watch", 1.0, "You watched"),
        ("watch", 0.3, "You watched 30% of"),
        ("like", 1.0, "You like"),
        ("bookmark", None, "You saved"),
    ],
)
def test_deeds_are_sentences(kind, value, said):
    assert wording.deed(kind, value) == said


@pytest.mark.parametrize(
    ("age", "said"),
    [(timedelta(seconds=3), "just now"), (timedelta(minutes=1), "1 minute ago"), (timedelta(hours=5), "5 hours ago"),
     (timedelta(days=40), "1 month ago"), (timedelta(days=800), "2 years ago"), (timedelta(seconds=-4), "just now")],
)  # fmt: skip
def test_times_are_told_in_their_largest_unit(age, said):
    assert wording.ago(NOW - age, now=NOW) == said


def test_durations_have_a_fitting_unit():
    assert [wording.lasted(seconds) for seconds in (0.04, 2.5, 12, 200)] == ["40 ms", "2.5 s", "12 s", "3 min"]


def test_markdown_in_a_title_stays_text():
    assert wording.plain("*Bold* [link](x) :red[y] $z$") == r"\*Bold\* \[link\]\(x\) \:red\[y\] \$z\$"


def test_problems_are_one_sentence():
    problem = ApiProblem(title="Invalid", detail=None, status=422, correlation_id="c", fields=("password: too short", "email: wrong"))
    assert wording.trouble(problem) == "Please check: password: too short; email: wrong."
    assert wording.trouble(ApiProblem(title="Gone", detail=None, status=404, correlation_id="c")) == "Gone."


def test_a_failed_task_says_why_in_one_line():
    failed = Task(id="1", kind="train", state="failed", created_at=NOW, error={"message": "There is no data\nTraceback: x"})
    assert wording.task_trouble(failed) == "There is no data."
    assert wording.task_trouble(failed.model_copy(update={"error": {}})) == "It ended without saying why."
    assert wording.task_trouble(failed.model_copy(update={"state": "succeeded"})) is None
    assert wording.task_trouble(Task(id="1", kind="train", state="expired", created_at=NOW)) == "Its deadline passed before it could start."
