"""Names and parameters of models, and the sentence for what does not exist."""

import pytest

from ml_worker.recommenders.registry import UnknownAlgorithm
from ml_worker.workbench.contenders import InvalidContender, contender, named, parameters


def test_baselines_follow_what_was_asked_for():
    assert named("als, als") == ["als", "popular", "item_knn"]
    assert named("item_knn,als") == ["item_knn", "als", "popular"]
    with pytest.raises(InvalidContender, match="no model is named"):
        named(" , ")


def test_parameters_are_set_by_name():
    settings = parameters(["als.factors=16", "als.alpha=2.5"])
    assert settings == {"als": {"factors": 16, "alpha": 2.5}}
    assert contender("als", settings["als"]).config.factors == 16


@pytest.mark.parametrize("assignment", ["als", "factors=3", "als.=3", ".factors=3", "als.factors"])
def test_what_sets_nothing_is_refused(assignment):
    with pytest.raises(InvalidContender, match="sets nothing; a parameter is set as in"):
        parameters([assignment])


def test_what_does_not_exist_is_named_with_what_does():
    with pytest.raises(UnknownAlgorithm, match=r"no algorithm is named 'alz'; known are .*als, "):
        contender("alz", {})
    with pytest.raises(InvalidContender, match=r"als\.factor: .*; the parameters of als are: factors, "):
        contender("als", {"factor": 3})
    with pytest.raises(InvalidContender, match=r"als\.factors: Input should be greater than or equal to 1"):
        contender("als", {"factors": 0})
