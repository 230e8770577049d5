"""Tables as arrays: numbering, strength of feedback, histories in a model's columns."""

import pytest

from ml_worker import dataset
from ml_worker.settings import DEFAULT_WEIGHTS

EVENTS = [
    ("anna", "film-b", "rating", 5.0, "2024-01-01T00:00:00Z"),
    ("anna", "film-a", "rating", 1.0, "2024-01-02T00:00:00Z"),
    ("bert", "film-a", "like", 1.0, "2023-01-01T00:00:00Z"),
    ("bert", "film-a", "dislike", 1.0, "2024-06-01T00:00:00Z"),
    ("bert", "film-c", "watch", 0.5, "2024-06-02T00:00:00Z"),
]


@pytest.fixture
def events(connection):
    connection.execute("INSERT INTO users (id) VALUES ('anna'), ('bert'), ('nobody')")
    connection.execute("INSERT INTO items (id, title) SELECT 'film-' || n, n FROM unnest(ARRAY['a', 'b', 'c', 'unseen']) n")
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO interactions (user_id, item_id, type, value, occurred_at) VALUES (%s, %s, %s, %s, %s)", EVENTS)


def read(connection):
    with connection.transaction():
        return dataset.read_interactions(connection, DEFAULT_WEIGHTS)


def test_interactions_come_in_time_order_with_every_item_in_the_vocabulary(connection, events):
    interactions = read(connection)
    assert interactions.user_ids == ("anna", "bert")
    assert interactions.item_ids == ("film-a", "film-b", "film-c", "film-unseen")
    named = [(interactions.user_ids[u], interactions.item_ids[i]) for u, i in zip(interactions.users, interactions.items, strict=True)]
    assert named == [("bert", "film-a"), ("anna", "film-b"), ("anna", "film-a"), ("bert", "film-a"), ("bert", "film-c")]
    assert interactions.weights.tolist() == pytest.approx([1.0, 1.0, -0.6, -1.0, 0.4])
    assert interactions.times[0] == 1672531200


@pytest.mark.parametrize("known", [60_000, 40_000])
def test_a_table_of_many_pages_is_read_whole_and_by_age(connection, events, known):
    connection.execute(
        """INSERT INTO interactions (user_id, item_id, type, value, occurred_at)
           SELECT CASE n % 2 WHEN 0 THEN 'anna' ELSE 'bert' END, 'film-' || substr('abc', n % 3 + 1, 1), 'watch', (n % 7 + 1) / 10.0,
                  '2025-01-01Z'::timestamptz + n * 7919 % 29999 * interval '1 second'
           FROM generate_series(1, 60000) n"""
    )
    (after,) = connection.execute("SELECT max(id) - 60000 + %s FROM interactions", (known,)).fetchone()
    # What is changed moves to the end of the table, and where something was is free.
    connection.execute("UPDATE interactions SET value = 0.9 WHERE id % 11 = 0 AND occurred_at >= '2025-01-01Z'")
    connection.execute("DELETE FROM interactions WHERE id % 13 = 0 AND occurred_at >= '2025-01-01Z'")
    expected = connection.execute(
        """SELECT user_id, item_id, (value * 0.8)::float4, extract(epoch FROM occurred_at)::int8 FROM interactions
           WHERE occurred_at >= '2025-01-01Z'
           ORDER BY id > %s, occurred_at, id""", (after,)).fetchall()  # fmt: skip
    counts = []
    with connection.transaction():
        found = dataset.read_interactions(connection, DEFAULT_WEIGHTS, after=after, report=counts.append)
    columns = (found.users, found.items, found.weights, found.times)
    told = [(found.user_ids[u], found.item_ids[i], w, t) for u, i, w, t in zip(*(column.tolist() for column in columns), strict=True)]
    others = len(EVENTS)
    assert [row[:2] + row[3:] for row in told[others:]] == [row[:2] + row[3:] for row in expected]
    assert [row[2] for row in told[others:]] == pytest.approx([row[2] for row in expected])
    assert len(counts) > 1
    assert counts == sorted(counts)
    assert counts[-1] == len(found) == len(expected) + others


def test_reading_stops_where_its_report_raises(connection, events):
    def stop(_count):
        raise InterruptedError

    with pytest.raises(InterruptedError), connection.transaction():
        dataset.read_interactions(connection, DEFAULT_WEIGHTS, report=stop)


def test_categories_tags_and_decades_are_features(connection, events):
    connection.execute("UPDATE items SET categories = '{Drama,War}', tags = '{slow}' WHERE id = 'film-b'")
    connection.execute("UPDATE items SET categories = '{Drama}', released_at = '1999-05-01Z' WHERE id = 'film-unseen'")
    connection.execute("UPDATE users SET preferred_categories = '{War}' WHERE id IN ('bert', 'nobody')")
    interactions = read(connection)
    # category Drama, category War, decade 199, tag slow
    assert interactions.item_features.toarray().tolist() == [[0, 0, 0, 0], [1, 1, 0, 1], [0, 0, 0, 0], [1, 0, 1, 0]]
    assert interactions.user_features.toarray().tolist() == [[0], [1]]


def test_without_words_there_are_no_features(connection, events):
    interactions = read(connection)
    assert interactions.item_features is None
    assert interactions.user_features is None


def test_an_empty_table_is_no_interactions(connection):
    assert len(read(connection)) == 0


def test_shards_hold_every_user_once(connection):
    connection.execute("INSERT INTO users (id) SELECT 'u' || n FROM generate_series(1, 200) n")
    shards = [dataset.read_shard(connection, shard=shard, shard_count=3) for shard in range(3)]
    assert sorted(user for shard in shards for user in shard) == sorted(f"u{n}" for n in range(1, 201))
    assert min(len(shard) for shard in shards) > 40
