"""Algorithms of other packages: what is wrong with one is one sentence and concerns no other."""

import sys
from importlib.metadata import EntryPoint

import pytest

from ml_worker.recommenders.plugins import GROUP, find_plugins
from ml_worker.recommenders.popular import Popular

POPULAR = "ml_worker.recommenders.popular:Popular"


def offer(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, GROUP)


def test_an_algorithm_is_found_under_its_name():
    assert find_plugins([], [offer("popular", POPULAR)]).usable == {"popular": Popular}
    assert find_plugins(["als"], []).broken == {}


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("lost", "no_such_module:Lost", "importing no_such_module:Lost ended in ModuleNotFoundError: No module named 'no_such_module'"),
        ("lost", "json:Lost", "importing json:Lost ended in AttributeError"),
        ("rude", "rude_plugin:Rude", "importing rude_plugin:Rude ended in SystemExit: 3"),
        ("json", "json:JSONDecoder", "json:JSONDecoder is not a subclass of ml_worker.recommenders.base.Recommender"),
        ("json", "json:loads", "json:loads is not a subclass"),
        ("base", "ml_worker.recommenders.base:Recommender", "Recommender does not define _contributions, _fit, _layout, _prepare, _score"),
        ("mine", POPULAR, "Popular.name is 'popular'; it must be the name of the entry point"),
        ("als", POPULAR, "Marquee has one of this name; choose another"),
        ("default", POPULAR, "Marquee has one of this name; choose another"),
        ("My Model", POPULAR, "a name is lower-case letters"),
    ],
)
def test_what_is_wrong_is_told_and_the_others_are_found(tmp_path, monkeypatch, name, value, complaint):
    (tmp_path / "rude_plugin.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(tmp_path)
    found = find_plugins(["als"], [offer(name, value), offer("popular", POPULAR)])
    sys.modules.pop("rude_plugin", None)
    assert found.usable == {"popular": Popular}
    assert found.broken[name].startswith(f"the algorithm {name!r} of the module {value.partition(':')[0]} cannot be used: {complaint}")


def test_two_of_one_name_are_both_refused():
    found = find_plugins([], [offer("popular", POPULAR), offer("popular", "other.module:Popular")])
    assert found.usable == {}
    assert "2 packages offer one of this name" in found.broken["popular"]
