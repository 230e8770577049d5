"""Rates and their intervals against figures worked out elsewhere."""

import random

import pytest

from app.rates import Rate, Sums, difference, rate, wilson


def sums(users):
    return Sums(
        len(users), sum(x for x, _ in users), sum(n for _, n in users), sum(x * x for x, _ in users),
        sum(n * n for _, n in users), sum(x * n for x, n in users),
    )  # fmt: skip


def test_wilson_agrees_with_the_published_example():
    # Newcombe 1998, table I: 81 of 263.
    found = wilson(81, 263)
    assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)
    assert wilson(0, 0) == Rate(0.0, None, None)
    assert wilson(0, 10).low == pytest.approx(0)


def test_with_one_impression_a_user_the_interval_is_that_of_a_mean():
    users = [(1.0, 1.0)] * 30 + [(0.0, 1.0)] * 70
    found = rate(sums(users))
    assert found.value == pytest.approx(0.3)
    assert found.high - found.value == pytest.approx(1.959964 * (0.3 * 0.7 / 99) ** 0.5)


def test_users_who_do_the_same_again_and_again_are_not_taken_for_many():
    once = [(float(n % 2), 1.0) for n in range(100)]
    often = [(10 * x, 10 * n) for x, n in once]
    assert rate(sums(often)).high == pytest.approx(rate(sums(once)).high)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    draw = random.Random(1)
    covered = 0
    for _ in range(400):
        users = []
        for _ in range(80):
            shown, taste = draw.randint(1, 20), draw.betavariate(2, 8)
            users.append((float(sum(draw.random() < taste for _ in range(shown))), float(shown)))
        found = rate(sums(users))
        covered += found.low <= 0.2 <= found.high
    assert 0.91 <= covered / 400 <= 0.98


def test_too_few_users_have_no_interval():
    assert rate(Sums(1, 1, 2, 1, 4, 2)) == Rate(0.5, None, None)
    assert difference(Rate(0.5, None, None), Rate(0.25, 0.2, 0.3, 0.01)) == Rate(0.25, None, None)
    told = difference(Rate(0.5, 0.4, 0.6, 0.0016), Rate(0.3, 0.2, 0.4, 0.0009))
    assert (told.value, told.high - told.value) == (pytest.approx(0.2), pytest.approx(1.959964 * 0.05))
