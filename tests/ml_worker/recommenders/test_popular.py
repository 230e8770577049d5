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


def test_only_the_latest_events_count_and_the_rest_decides_behind_them():
    interactions = Interactions.from_events([*"abcabdef"], [*"xxxyyzwz"], [1] * 8, [1, 2, 3, 4, 5, 8, 7, 6])
    model = Popular(Popular.Config(recent_share=0.3))  # the last three events: z, w, z
    model.fit(interactions)
    (ranking,) = model.recommend(Histories.from_events([], [], [], shape=(1, 4)), count=4)
    assert [model.item_ids[item] for item in ranking.items] == list("zwxy")
    assert ranking.scores[:2].tolist() == [2, 1]
    assert ranking.scores[2] < 1


def test_with_equal_times_the_latest_events_are_those_that_arrived_last():
    model = Popular(Popular.Config(recent_share=0.5))
    model.fit(Interactions.from_events([*"abcd"], [*"xxyz"], [1] * 4, [5] * 4))
    assert model.scores(Histories.from_events([], [], [], shape=(1, 3)))[0].argsort().tolist() == [0, 1, 2]
