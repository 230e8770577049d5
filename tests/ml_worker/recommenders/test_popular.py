"""Popularity: what counts, and that it counts for everybody alike."""

from ml_worker.recommenders.interactions import Histories, Interactions
from ml_worker.recommenders.popular import Popular


def test_the_order_is_by_what_users_together_like_and_ties_keep_the_order_of_ids():
    model = Popular()
    model.fit(Interactions.from_events([*"aabbccd"], [*"xyxyzyw"], [1, 0.5, 1, 0.5, 1, -1, 1], range(7), catalogue=["v"]))
    assert model.item_ids == ("v", "w", "x", "y", "z")
    asked = Histories.from_events([0, 1], [2, 0], [1, 1], shape=(3, 5))
    rankings = model.recommend(asked, count=5)
    assert [[model.item_ids[item] for item in ranking.items] for ranking in rankings] == [list("wyzv"), list("xwyz"), list("xwyzv")]
    assert rankings[2].scores.tolist() == [2, 1, 1, 1, 0]
