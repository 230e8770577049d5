"""Drawn posters."""

from xml.etree import ElementTree

import pytest

from streamlit_ui.components.posters import LOOKS, MOTIFS, look, poster, poster_uri


@pytest.mark.parametrize("genre", sorted(LOOKS))
def test_every_genre_has_a_well_formed_picture(genre):
    picture = ElementTree.fromstring(poster("A Title", [genre]))  # noqa: S314 (our own text)
    assert picture.attrib["viewBox"] == "0 0 200 300"
    assert len(list(picture)) > 4


def test_every_motif_is_used():
    assert {known.motif for known in LOOKS.values()} == set(MOTIFS)


def test_the_same_item_has_the_same_picture_and_others_differ():
    assert poster("Alien", ["Horror"]) == poster("Alien", ["Horror"])
    assert poster("Alien", ["Horror"]) != poster("Aliens", ["Horror"])


def test_the_first_known_category_decides_and_the_title_otherwise():
    assert look("Anything", ["Unheard of", "Western"]) is LOOKS["western"]
    assert look("Anything", []) == look("Anything", ["(no genres listed)"])


def test_a_hostile_title_stays_text():
    title = "</title><script>alert(1)</script> & \"'"
    picture = ElementTree.fromstring(poster(title, []))  # noqa: S314 (our own text)
    assert picture[0].text == title
    assert set(poster_uri(title, [])) <= set("data:image/svg+xml;base64,ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
