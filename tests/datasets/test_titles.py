"""Titles lose their year and put their article first."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.titles import article_first, split_year


@pytest.mark.parametrize(
    ("written", "title", "year"),
    [
        ("Toy Story (1995)", "Toy Story", 1995),
        ("Toy Story (1995) ", "Toy Story", 1995),
        ("Death Note: Desu nôto (2006–2007)", "Death Note: Desu nôto", 2006),
        ("Doctor Who (2005-)", "Doctor Who", 2005),
        ("2001: A Space Odyssey (1968)", "2001: A Space Odyssey", 1968),
        ("1984", "1984", None),
        ("(1984)", "(1984)", None),
        ("Babylon 5", "Babylon 5", None),
        ("Tales (0007)", "Tales (0007)", None),
        ("Seven (a.k.a. Se7en) (1995)", "Seven (a.k.a. Se7en)", 1995),
    ],
)
def test_the_year_is_the_release(written, title, year):
    found, released_at = split_year(written)
    assert (found, released_at.year if released_at else None) == (title, year)


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("Matrix, The", "The Matrix"),
        ("American President, The", "The American President"),
        ("Misérables, Les", "Les Misérables"),
        ("Avventura, L' (a.k.a. Adventure, The)", "L'Avventura (a.k.a. The Adventure)"),
        ("Good, the Bad and the Ugly, The (Buono, Il)", "The Good, the Bad and the Ugly (Il Buono)"),
        ("Toy Story", "Toy Story"),
        ("Crouching Tiger, Hidden Dragon", "Crouching Tiger, Hidden Dragon"),
        ("The", "The"),
        (", The", ", The"),
    ],
)
def test_the_article_comes_first(written, title):
    assert article_first(written) == title


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_has_a_title_that_stays_as_it_is(text):
    title, _ = split_year(text)
    assert sorted(article_first(title).replace(" ", "")) <= sorted(title.replace(" ", ""))
    assert split_year(title)[0] == title or split_year(title)[1] is not None
