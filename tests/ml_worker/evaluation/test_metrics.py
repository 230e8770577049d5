"""Metrics against values worked out by hand; in the lists a dot stands for an item that is not wanted."""

from math import log2

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from ml_worker.evaluation.metrics import (
    Catalogue,
    InvalidRanking,
    accuracy,
    average_precision,
    capped_recall,
    find_hits,
    hit_rate,
    measure,
    ndcg,
    recall,
    reciprocal_rank,
)
from ml_worker.evaluation.truth import Truth


def hits_of(*lists: str) -> np.ndarray:
    return np.array([[place == "x" for place in entries] for entries in lists])


def truth_of(*wanted: list[int], unknown: int = 0) -> Truth:
    """One question for each list of items."""
    offsets = np.cumsum([0, *map(len, wanted)])
    items = np.array([item for items in wanted for item in items], dtype=np.int32)
    each = np.full(len(wanted), unknown, dtype=np.int64)
    return Truth(np.arange(len(wanted)), offsets, items, np.zeros(len(items), dtype=np.int64), each)


def test_hits_are_the_wanted_items_where_they_stand():
    ranked = np.array([[3, 1, 2], [1, 3, -1], [-1, -1, -1]], dtype=np.int32)
    assert find_hits(ranked, truth_of([2, 3], [2], [0])).tolist() == [[True, False, True], [False] * 3, [False] * 3]


def test_padding_is_never_a_hit_not_even_before_item_zero():
    assert not find_hits(np.full((2, 2), -1, dtype=np.int32), truth_of([9], [0])).any()
    assert not find_hits(np.array([[4]], dtype=np.int32), truth_of([], unknown=1)).any()


def test_lists_that_do_not_answer_are_refused():
    with pytest.raises(InvalidRanking, match=r"\(1, 2\) do not answer 2 questions"):
        find_hits(np.array([[0, 1]], dtype=np.int32), truth_of([0], [1]))
    with pytest.raises(InvalidRanking, match="names an item twice"):
        find_hits(np.array([[0, 1, 0]], dtype=np.int32), truth_of([0]))


def test_ndcg_by_hand():
    found = ndcg(hits_of("x.x", "..x", "...", "xxx"), np.array([2, 1, 4, 9]), 3)
    ideal_of_two = 1 + 1 / log2(3)
    assert found == pytest.approx([(1 + 1 / 2) / ideal_of_two, 1 / 2, 0, 1])


def test_ndcg_is_one_when_all_that_can_be_found_is_on_top():
    assert ndcg(hits_of("xx..", "xxxx"), np.array([2, 100]), 4) == pytest.approx([1, 1])


def test_ndcg_cuts_the_list_and_the_ideal_at_k():
    hits, sizes = hits_of(".x.x"), np.array([3])
    assert ndcg(hits, sizes, 1) == pytest.approx([0])
    assert ndcg(hits, sizes, 2) == pytest.approx([(1 / log2(3)) / (1 + 1 / log2(3))])
    ideal_of_three = 1 + 1 / log2(3) + 1 / 2
    assert ndcg(hits, sizes, 10) == pytest.approx([(1 / log2(3) + 1 / log2(5)) / ideal_of_three])


def test_recall_and_its_capped_form_differ_where_more_is_to_be_found_than_k():
    hits, sizes = hits_of("xx", "x."), np.array([5, 2])
    assert recall(hits, sizes, 2) == pytest.approx([2 / 5, 1 / 2])
    assert capped_recall(hits, sizes, 2) == pytest.approx([1, 1 / 2])


def test_hit_rate_and_reciprocal_rank_look_at_the_first_hit():
    hits = hits_of("..xx", "x...", "....")
    assert hit_rate(hits, 4).tolist() == [1, 1, 0]
    assert hit_rate(hits, 2).tolist() == [0, 1, 0]
    assert reciprocal_rank(hits, 4) == pytest.approx([1 / 3, 1, 0])
    assert reciprocal_rank(hits, 2) == pytest.approx([0, 1, 0])


def test_average_precision_by_hand():
    hits, sizes = hits_of("x.x.", ".x.."), np.array([3, 1])
    assert average_precision(hits, sizes, 4) == pytest.approx([(1 / 1 + 2 / 3) / 3, 1 / 2])
    assert average_precision(hits, sizes, 2) == pytest.approx([1 / 2, 1 / 2])


def test_a_question_without_anything_to_find_scores_zero_instead_of_dividing_by_it():
    values = accuracy(hits_of(".."), np.array([0]), cutoffs=(2,))
    assert all(column.tolist() == [0.0] for column in values.values())


def test_lists_without_places_score_zero():
    values = accuracy(np.empty((2, 0), dtype=np.bool_), np.array([1, 2]), cutoffs=(10,))
    assert all(column.tolist() == [0.0, 0.0] for column in values.values())


def test_unknown_items_count_against_recall_and_in_the_ideal():
    measured = measure(np.array([[0, 1]], dtype=np.int32), truth_of([0], unknown=1), cutoffs=(2,))
    assert measured.values["recall@2"].tolist() == [0.5]
    assert measured.values["ndcg@2"] == pytest.approx([1 / (1 + 1 / log2(3))])


def test_coverage_and_novelty_by_hand(make):
    train = make([(0, 0, 1), (1, 0, 1), (2, 0, 1), (3, 0, 1), (3, 0, 2), (0, 1, 1)], users=5, items=4)
    catalogue = Catalogue(train)
    ranked = np.array([[0, 1], [0, -1], [-1, -1]], dtype=np.int32)
    assert catalogue.coverage(ranked, 2) == 2 / 4
    assert catalogue.coverage(ranked, 1) == 1 / 4
    # Four users have events: item 0 was met by all of them (0 bits), item 1 by one of four (2 bits), item 3 by none (as one).
    assert catalogue.novelty(ranked, 2) == pytest.approx([1, 0, np.nan], nan_ok=True)
    assert catalogue.novelty(np.array([[3, 1]], dtype=np.int32), 2) == pytest.approx([2])


def test_diversity_compares_by_features(make):
    features = csr_matrix(np.array([[1, 0], [2, 0], [0, 1], [1, 1], [0, 0]], dtype=np.float32))
    catalogue = Catalogue(make([(0, 0, 1)], users=1, items=5, item_features=features))
    ranked = np.array([[0, 1, 2], [0, 2, -1], [0, 3, -1], [4, -1, -1], [0, 4, -1]], dtype=np.int32)
    found = catalogue.diversity(ranked, cutoffs=(2, 3))
    same, apart, half = 0, 1, 1 - 1 / np.sqrt(2)
    assert found[2] == pytest.approx([same, apart, half, np.nan, apart], nan_ok=True)
    assert found[3] == pytest.approx([1 - 2 / 6, apart, half, np.nan, apart], nan_ok=True)  # of three pairs one is alike


def test_diversity_without_features_compares_by_who_met_the_items(make):
    train = make([(0, 0, 1), (1, 0, 1), (0, 1, 1), (1, 1, 1), (2, 2, 1), (0, 3, 1)], users=3, items=4)
    ranked = np.array([[0, 1], [0, 2], [0, 3]], dtype=np.int32)
    assert Catalogue(train).diversity(ranked, cutoffs=(2,))[2] == pytest.approx([0, 1, 1 - 1 / np.sqrt(2)])


def test_everything_at_once_agrees_with_a_plain_loop(make):
    rng = np.random.default_rng(3)
    train = make([(user, int(item), 0) for user in range(30) for item in rng.choice(40, 5, replace=False)], users=30, items=40)
    ranked = np.array([rng.permutation(40)[:20] for _ in range(30)], dtype=np.int32)
    wanted = [rng.choice(40, rng.integers(1, 15), replace=False).tolist() for _ in range(30)]
    measured = measure(ranked, truth_of(*wanted), Catalogue(train), cutoffs=(5, 20))
    for row, (entries, items) in enumerate(zip(ranked.tolist(), wanted, strict=True)):
        for k in (5, 20):
            gains = [1 / log2(rank + 1) for rank, item in enumerate(entries[:k], 1) if item in items]
            ideal = sum(1 / log2(rank + 1) for rank in range(1, min(k, len(items)) + 1))
            assert measured.values[f"ndcg@{k}"][row] == pytest.approx(sum(gains) / ideal)
            assert measured.values[f"recall@{k}"][row] == pytest.approx(len(gains) / len(items))
            vectors = (train.matrix() != 0).toarray().astype(float)[:, entries[:k]].T
            with np.errstate(invalid="ignore"):
                units = np.nan_to_num(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
            alike = [units[a] @ units[b] for a in range(k) for b in range(a)]
            assert measured.values[f"diversity@{k}"][row] == pytest.approx(1 - np.mean(alike))
    assert measured.coverage["coverage@20"] == len(np.unique(ranked)) / 40
