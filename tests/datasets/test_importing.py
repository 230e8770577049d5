"""An import into a real database: everything or nothing, again without effect, and a report that adds up."""

import json

import psycopg
import pytest

from datasets.importing import import_dataset
from datasets.loading import Written
from datasets.problems import ArchiveUnreadable, DatasetUnusable
from datasets.report import bad_row_line, report_line
from datasets.rows import BadRow

TABLES = ("users", "items", "interactions")


def row_counts(connection):
    return [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES]


@pytest.mark.parametrize(
    ("layout", "encoding", "counts"),
    [("csv", "utf-8", [3, 3, 5]), ("ml_1m", "latin-1", [2, 2, 3]), ("ml_10m", "utf-8", [1, 2, 2]), ("ml_100k", "latin-1", [2, 3, 2])],
)
def test_every_layout_lands_in_the_tables(connection, samples, layout, encoding, counts):
    report = import_dataset(str(samples.folder(getattr(samples, layout), encoding=encoding)), connection=connection)
    assert row_counts(connection) == counts
    assert [getattr(report.loaded, table).added for table in TABLES] == counts
    assert connection.execute("SELECT DISTINCT type FROM interactions").fetchall() == [("rating",)]


def test_an_import_again_adds_nothing_and_a_dry_run_writes_nothing(connection, samples):
    source = str(samples.zip(samples.csv))
    dry = import_dataset(source, connection=None)
    assert (dry.is_dry_run, dry.loaded.users.read, dry.loaded.items.read, dry.loaded.interactions.read) == (True, 3, 3, 5)
    import_dataset(source, connection=connection)
    again = import_dataset(source, connection=connection)
    assert (again.loaded.users, again.loaded.items, again.loaded.interactions) == (Written(3), Written(3), Written(5))
    assert row_counts(connection) == [3, 3, 5]


def test_a_failure_at_the_very_end_leaves_nothing(connection, samples):
    files = {**samples.csv, "ratings.csv": samples.csv["ratings.csv"] + "".join(f"{user},1,4.0,9\n" for user in range(100_000))}
    path = samples.zip(files)
    content = path.read_bytes()
    at = content.index(b"PK\x03\x04", content.index(b"ml-test/ratings.csv"))
    path.write_bytes(content[: at - 200] + bytes(200) + content[at:])
    with pytest.raises(ArchiveUnreadable):
        import_dataset(str(path), connection=connection)
    assert row_counts(connection) == [0, 0, 0]
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_too_many_bad_rows_leave_nothing(connection, samples):
    files = {**samples.csv, "ratings.csv": "userId,movieId,rating,timestamp\n1,1,4.0,9\n" + "1,1,9,9\n" * 3}
    with pytest.raises(DatasetUnusable, match=r"3 of 4 rows of ratings\.csv are bad"):
        import_dataset(str(samples.folder(files)), connection=connection)
    assert row_counts(connection) == [0, 0, 0]


def test_the_report_has_every_bad_row_and_shows_the_first(connection, samples):
    bad = "".join(f"{user},1,9.5,9\n" for user in range(30))
    files = {**samples.csv, "ratings.csv": samples.csv["ratings.csv"] + bad}
    seen, stages = [], []
    report = import_dataset(
        str(samples.folder(files)), connection=connection, on_bad_row=seen.append, on_progress=stages.append, max_bad_rows=30
    )
    assert (report.bad_rows, len(report.first_bad_rows), len(seen)) == (30, 20, 30)
    assert (report.files["ratings.csv"].rows, report.files["ratings.csv"].bad, report.loaded.interactions.added) == (35, 30, 5)
    assert [progress.stage for progress in stages] == ["movies.csv", "tags.csv", "links.csv", "ratings.csv"]
    assert all(progress.done == progress.total for progress in stages)
    assert json.loads(bad_row_line(seen[0])) == {
        "bad_row": {"file": "ratings.csv", "line": 7, "column": "rating", "reason": "'9.5' is not between 0.5 and 5"}
    }
    assert json.loads(report_line(report))["import"]["loaded"]["interactions"] == {"read": 5, "added": 5, "changed": 0}


def test_a_bad_row_without_a_column_reads_well():
    assert str(BadRow("a.csv", 3, None, "2 fields where 4 were expected")) == "a.csv:3: 2 fields where 4 were expected"


def test_ml_latest_small(connection, movielens):
    report = import_dataset(str(movielens), connection=connection)
    assert row_counts(connection) == [610, 9742, 100_836]
    assert report.bad_rows == 0
    first = connection.execute("SELECT title, categories, attributes ->> 'imdb_id' FROM items WHERE id = '1'").fetchone()
    assert first == ("Toy Story", ["Adventure", "Animation", "Children", "Comedy", "Fantasy"], "tt0114709")
    low, high, mean = connection.execute("SELECT min(value), max(value), avg(value) FROM interactions").fetchone()
    assert (low, high, round(mean, 2)) == (0.5, 5.0, 3.5)
