"""Live histories in a model's columns: what a user said, in order."""

import numpy as np
import pytest

from ml_worker.histories import read_histories
from ml_worker.settings import DEFAULT_WEIGHTS

EVENTS = [
    ("anna", "film-b", "rating", 5.0, "2024-01-01T00:00:00Z"),
    ("anna", "film-a", "rating", 1.0, "2024-01-02T00:00:00Z"),
    ("bert", "film-a", "like", 1.0, "1969-12-31T23:59:58.7Z"),
    ("bert", "film-a", "dislike", 1.0, "2024-06-01T00:00:00Z"),
    ("bert", "film-c", "watch", 0.5, "2024-06-02T00:00:00.6Z"),
]


@pytest.fixture
def events(connection):
    connection.execute("INSERT INTO users (id, preferred_categories) VALUES ('anna', '{}'), ('bert', '{War}'), ('nobody', '{Drama}')")
    connection.execute("INSERT INTO items (id, title) SELECT 'film-' || n, n FROM unnest(ARRAY['a', 'b', 'c', 'unseen']) n")
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO interactions (user_id, item_id, type, value, occurred_at) VALUES (%s, %s, %s, %s, %s)", EVENTS)


@pytest.fixture
def read(connection, events):
    """The histories of these users by a model that knows these items, in this order."""

    def run(user_ids, *item_ids):
        columns = {item_id: column for column, item_id in enumerate(item_ids)}
        return read_histories(connection, user_ids, columns=columns, size=len(item_ids), weights=DEFAULT_WEIGHTS)

    return run


def test_histories_sum_what_a_user_said_of_an_item(read):
    found = read(["bert", "anna", "nobody", "deleted"], "film-a", "film-b")
    assert found.user_ids == ["anna", "bert", "nobody"]
    assert found.counts == [2, 3, 0]
    np.testing.assert_allclose(found.histories.matrix.toarray(), [[-0.6, 1.0], [0.0, 0.0], [0.0, 0.0]], atol=1e-6)
    assert found.histories.items.tolist() == [1, 0, 0, 0], "anna's films by time, then bert's"
    assert found.histories.times[:2].tolist() == [1704067200, 1704153600]
    assert found.histories.matrix[1].nnz == 1, "liked and disliked: no verdict, and seen all the same"
    assert found.preferred == [(), (), ("Drama",)], "chosen categories speak only where no event does"


def test_columns_are_the_models_and_items_that_are_gone_have_none(read, connection):
    found = read(["bert"], "film-c", "deleted-film", "film-unseen", "film-a")
    assert found.histories.items.tolist() == [3, 3, 0]
    assert found.histories.times.tolist() == [-1, 1717200000, 1717286401], "to the nearest second"
    connection.execute("DELETE FROM items WHERE id = 'film-a'")
    assert read(["bert"], "film-c", "film-a").counts == [1]


@pytest.mark.parametrize("latest", ["2024-06-02T00:00:00Z", "9999-06-02T00:00:00Z"])
def test_events_of_one_moment_keep_their_order_wherever_the_table_has_them(read, connection, latest):
    """Also where times are so far apart that user and time are not one number."""
    insert = "INSERT INTO interactions (user_id, item_id, type, value, occurred_at) VALUES ('nobody', %s, 'like', %s, %s)"
    for item_id, value, moment in (("film-c", 1, latest), ("film-b", 2, "0001-06-01"), ("film-a", 3, latest), ("film-c", 4, "2024-06-01")):
        connection.execute(insert, (item_id, value, moment))
    # A row that changes is written anew, behind the others.
    connection.execute("UPDATE interactions SET value = 5 WHERE user_id = 'nobody' AND value = 1")
    found = read(["bert", "nobody"], "film-a", "film-b", "film-c").histories
    assert found.items[found.offsets[1] :].tolist() == [1, 2, 2, 0]
    assert found.weights[found.offsets[1] :].tolist() == [2, 4, 5, 3]
    assert found.items[: found.offsets[1]].tolist() == [0, 0, 2]


def test_nobody_and_an_unknown_catalogue_are_empty_histories(read):
    assert read([], "film-a").user_ids == []
    assert read(["gone"], "film-a").histories.matrix.shape == (0, 1)
    strange = read(["anna"], "deleted-film")
    assert (strange.counts, strange.histories.matrix.nnz) == ([2], 0)
