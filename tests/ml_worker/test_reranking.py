"""Orders made of scores, on arrays small enough to work out by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from ml_worker import reranking
from ml_worker.recommenders.base import Ranking

# Items 0 to 3 are comedies, 4 and 5 dramas, 6 is both.
FEATURES = csr_matrix(np.array([[1, 0]] * 4 + [[0, 1]] * 2 + [[1, 1]], dtype=np.float32))
ITEMS, SCORES = np.arange(6, dtype=np.int32), np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5], dtype=np.float32)


def test_diversity_brings_what_is_unlike_forward():
    assert reranking.diverse(ITEMS, SCORES, FEATURES, diversity=0.0, count=6) == [0, 1, 2, 3, 4, 5]
    assert reranking.diverse(ITEMS, SCORES, FEATURES, diversity=0.7, count=3)[:2] == [0, 4]
    assert sorted(reranking.diverse(ITEMS, SCORES, FEATURES, diversity=1.0, count=9)) == [0, 1, 2, 3, 4, 5]
    assert reranking.diverse(ITEMS[:0], SCORES[:0], FEATURES, diversity=0.5, count=3) == []


def test_each_place_of_a_diverse_list_is_the_one_of_the_definition():
    random = np.random.default_rng(0)
    features = csr_matrix((random.random((300, 9)) < 0.3).astype(np.float32))
    items, scores = random.choice(300, 60, replace=False).astype(np.int32), np.sort(random.random(60).astype(np.float32))[::-1]
    rows = reranking.rare(features[items]).toarray()
    relevance = (scores - scores.min()) / (scores[0] - scores[-1])
    chosen: list[int] = []
    for _ in range(20):
        alike = (rows @ rows[chosen].T).max(axis=1) if chosen else np.zeros(60)
        gain = 0.6 * relevance - 0.4 * alike
        gain[chosen] = -np.inf
        chosen.append(int(np.argmax(gain)))
    assert reranking.diverse(items, scores, features, diversity=0.4, count=20) == chosen


def test_a_place_of_a_diverse_list_has_the_same_item_however_many_are_asked_for():
    random = np.random.default_rng(0)
    size = 2 * reranking.DIVERSE + 50
    features = csr_matrix((random.random((size, 9)) < 0.3).astype(np.float32))
    ranking = Ranking(random.permutation(size).astype(np.int32), np.sort(random.random(size).astype(np.float32))[::-1])
    whole = reranking.mixed(ranking, features, 0.4, count=size)
    assert sorted(whole.items) == list(range(size))
    for stop in range(reranking.DIVERSE, size, reranking.DIVERSE):
        assert set(whole.items[:stop]) == set(ranking.items[:stop])
    assert whole.items.tolist() != ranking.items.tolist()
    for count in (1, 20, 450, 2 * size):
        some = reranking.mixed(ranking, features, 0.4, count=count)
        assert some.items.tolist() == whole.items[:count].tolist()
        assert some.scores.tolist() == whole.scores[:count].tolist()


def test_a_share_of_new_items_is_kept_at_every_place():
    order, new = [0, 1, 2, 3, 4, 5], [5, 9, 8]
    assert reranking.with_share(order, new, share=0.0, count=4) == [0, 1, 2, 3]
    assert reranking.with_share(order, new, share=0.5, count=6) == [0, 5, 1, 9, 2, 8]
    assert reranking.with_share(order, new, share=1.0, count=5) == [5, 9, 8, 0, 1], "when there are no more, the others follow"
    assert reranking.with_share([5, 9, 0], new, share=0.5, count=3) == [5, 9, 0], "those that stand there anyway count"
    assert reranking.with_share([], new, share=0.1, count=2) == [5, 9]


@given(
    st.lists(st.integers(0, 12), unique=True),
    st.lists(st.integers(0, 15), unique=True),
    st.sampled_from([0.1, 0.3, 0.5, 1.0]),
    st.integers(0, 14),
)
def test_at_each_place_the_next_is_new_only_where_one_is_missing(order, new, share, count):
    """Place by place, as the rule is worded."""
    expected: list[int] = []
    for place in range(1, count + 1):
        is_missing = len({*expected} & {*new}) < int(share * place + 1e-9)
        choice = [*new, *order] if is_missing else [*order, *new]
        expected += [item for item in choice if item not in expected][:1]
    assert reranking.with_share(order, new, share=share, count=count) == expected


def test_no_category_has_more_than_its_cap():
    assert reranking.capped([0, 1, 6, 4, 5], FEATURES, cap=2, count=5) == [0, 1, 4, 5]
    assert reranking.capped([6, 0, 4], FEATURES, cap=1, count=5) == [6]


def test_a_cap_goes_as_far_down_as_it_must():
    one_each = csr_matrix(np.repeat(np.eye(3, dtype=np.float32), [5000, 5000, 1], axis=0))
    assert reranking.capped(range(10_001), one_each, cap=1, count=20) == [0, 5000, 10_000]


def test_a_cap_and_a_share_of_new_ones_are_both_kept():
    eye = csr_matrix(np.tile(np.eye(4, dtype=np.float32), (3, 1)))  # items n, n + 4 and n + 8 are of one category
    assert reranking.capped([0, 4, 1, 5, 2, 6, 3], eye, cap=2, count=4, new=[8, 9], share=0.5) == [0, 8, 1, 9]
    assert reranking.capped([0, 4, 1, 5], eye, cap=1, count=4, new=[8, 11], share=0.5) == [0, 11, 1], "8 is of a full category"
    assert reranking.capped([0, 1], eye, cap=1, count=2, new=[8], share=0.5) == [0, 1], "the cap is kept in any case"
    assert reranking.capped([8, 0, 1], eye, cap=1, count=2, new=[8], share=0.5) == [8, 1], "a new one in its place counts"


def test_matches_lead_in_the_same_order_and_what_is_left_out_stays_out():
    scores = np.array([3.0, 2.0, 1.0, -np.inf], dtype=np.float32)
    led = reranking.led_by(scores, np.array([False, True, True, True]))
    assert np.argsort(-led).tolist() == [1, 2, 0, 3]
    assert np.isneginf(led[3])
