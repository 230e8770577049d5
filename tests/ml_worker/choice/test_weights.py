"""Coordinate ascent on NDCG."""

import numpy as np
import pytest

from ml_worker.choice.weights import find_weights, ndcg_of


def test_ndcg_is_that_of_the_definition():
    scores = np.array([[3, 2, 1, 0.0], [0, 1, 2, 3]], dtype=np.float32)
    is_right = np.array([[True, False, True, False], [True, False, False, False]])
    expected = [(1 + 1 / np.log2(4)) / (1 + 1 / np.log2(3) + 1 / np.log2(4)), 1 / np.log2(5)]
    assert ndcg_of(scores, is_right, np.array([3, 1])) == pytest.approx(expected)


def test_parts_that_know_different_things_are_both_taken_and_noise_is_not():
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((400, 60)).astype(np.float32)
    is_right = truth > 1.6
    sizes = np.maximum(is_right.sum(axis=1), 1)
    seen = {name: truth + rng.standard_normal(truth.shape).astype(np.float32) for name in ("one", "other")}
    seen["noise"] = rng.standard_normal(truth.shape).astype(np.float32)
    weights = find_weights(seen, is_right, sizes)
    assert min(weights["one"], weights["other"]) > 0.2
    assert weights["noise"] < 0.1
    alone = {name: ndcg_of(scores, is_right, sizes).mean() for name, scores in seen.items()}
    blended = ndcg_of(sum(weights[name] * seen[name] for name in seen), is_right, sizes).mean()
    assert blended > 1.05 * max(alone.values())


def test_a_part_without_a_rival_has_the_weight_one():
    assert find_weights({"only": np.eye(5, dtype=np.float32)}, np.eye(5, dtype=bool), np.ones(5, dtype=int)) == {"only": 1.0}


def test_of_few_questions_little_is_believed():
    rng = np.random.default_rng(2)
    is_right = np.zeros((20, 50), dtype=bool)
    is_right[:, 0] = True
    scores = {name: (is_right + 0.3 * rng.standard_normal(is_right.shape)).astype(np.float32) for name in ("one", "other", "third")}
    weights = find_weights(scores, is_right, np.ones(20, dtype=int))
    assert min(weights.values()) > 0.2


def test_weights_are_never_worse_than_the_best_part_alone_by_what_they_are_judged_by():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        is_right = rng.random((30, 40)) < 0.1
        sizes = np.maximum(is_right.sum(axis=1), 1)
        scores = {name: (is_right + rng.standard_normal(is_right.shape)).astype(np.float32) for name in ("one", "other", "third")}
        weights = find_weights(scores, is_right, sizes, seed=seed)
        alone = max(ndcg_of(of_part, is_right, sizes).mean() for of_part in scores.values())
        assert ndcg_of(sum(np.float32(weights[name]) * scores[name] for name in scores), is_right, sizes).mean() >= alone - 1e-9
        assert sum(weights.values()) == pytest.approx(1, abs=0.05)


def test_ndcg_to_another_depth():
    scores = np.arange(30, 0, -1, dtype=np.float32)[None, :]
    is_right = np.zeros((1, 30), dtype=bool)
    is_right[0, 14] = True
    assert ndcg_of(scores, is_right, np.array([1])) == pytest.approx([0])
    assert ndcg_of(scores, is_right, np.array([1]), cutoff=20) == pytest.approx([1 / np.log2(16)])
