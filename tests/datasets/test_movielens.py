"""Every published layout is read alike, and a bad row is named by file, line, column and reason and costs only itself."""

import csv
import time
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets.problems import FileUnusable, TooManyBadRows


def test_csv(samples, read):
    found = read(samples.folder(samples.csv))
    assert found.bad == []
    toy_story, matrix, lost_children = (found.items[item] for item in "123")
    assert (toy_story.title, toy_story.categories) == ("Toy Story", ["Adventure", "Animation", "Children"])
    assert toy_story.released_at == datetime(1995, 1, 1, tzinfo=UTC)
    assert toy_story.tags == ["pixar", 'so "fun"']
    assert toy_story.attributes == {"imdb_id": "tt0114709", "tmdb_id": 862}
    assert matrix.title == "The Matrix"
    assert lost_children.title == "The City of Lost Children (La Cité des enfants perdus)"
    assert lost_children.categories == []
    assert lost_children.attributes == {"imdb_id": "tt0112682"}
    assert found.rows[0] == ("1", "1", "rating", 4.0, 964982703)
    assert [row[3] for row in found.rows] == [4.0, 0.5, 5.0, 3.5, 2.0]
    assert found.users == {}


def test_1m(samples, read):
    found = read(samples.folder(samples.ml_1m, encoding="latin-1"))
    assert found.bad == []
    assert found.items["2"].title == "Les Misérables"
    assert found.items["1"].categories == ["Animation", "Children's", "Comedy"]
    assert found.users["1"].attributes == {
        "gender": "F",
        "age_group": "under 18",
        "occupation": "K-12 student",
        "zip_code": "48067",
    }
    assert found.rows == [
        ("1", "1", "rating", 5.0, 978300760),
        ("1", "2", "rating", 3.0, 978302109),
        ("2", "2", "rating", 4.0, 978301968),
    ]


def test_10m(samples, read):
    found = read(samples.folder(samples.ml_10m))
    assert found.bad == []
    assert found.items["2"].title == "Les Misérables"
    assert found.items["1"].tags == ["excellent!"]
    assert found.rows == [("1", "1", "rating", 5.0, 838985046), ("1", "2", "rating", 4.5, 838983525)]


def test_100k(samples, read):
    found = read(samples.folder(samples.ml_100k, encoding="latin-1"))
    assert found.bad == []
    assert found.items["1"].categories == ["Animation", "Comedy"]
    assert found.items["1"].attributes == {"imdb_url": "http://us.imdb.com/M/title-exact?Toy%20Story%20(1995)"}
    assert found.items["2"].title == "Les Misérables"
    assert found.items["2"].released_at == datetime(1995, 10, 21, tzinfo=UTC)
    assert (found.items["267"].title, found.items["267"].categories, found.items["267"].released_at) == ("unknown", [], None)
    assert found.users["186"].attributes == {"age": 24, "gender": "M", "occupation": "technician", "zip_code": "85711"}
    assert found.rows == [("196", "2", "rating", 3.0, 881250949), ("186", "1", "rating", 5.0, 891717742)]


def test_what_is_optional_may_be_missing(samples, read):
    only = {name: samples.csv[name] for name in ("ratings.csv", "movies.csv")}
    assert len(read(samples.folder(only, name="a")).rows) == 5
    only = {name: samples.ml_100k[name] for name in ("u.data", "u.item")}
    assert read(samples.folder(only, name="b", encoding="latin-1")).items["2"].categories == ["Drama"]


def test_columns_are_found_by_name_in_any_order(samples, read):
    files = {**samples.csv, "ratings.csv": "movieId,timestamp,source,userId,rating\n1,964982703,web,1,4.0\n2,964982704,app,1,3.0\n"}
    assert read(samples.folder(files)).rows == [("1", "1", "rating", 4.0, 964982703), ("1", "2", "rating", 3.0, 964982704)]


def test_line_ends_byte_order_marks_quotes_and_blank_lines_do_not_matter(samples, read):
    ratings = "\ufeff" + samples.csv["ratings.csv"].replace("\n", "\r\n") + "\r\n\r\n"
    ratings = ratings.replace("2,1,5.0,1445714835", '"2","1","5.0","1445714835"').replace("1,2,0.5", "\r\n1,2,0.5")
    found = read(samples.folder({**samples.csv, "ratings.csv": ratings.removesuffix("\r\n")}))
    assert found.bad == []
    assert found.rows == read(samples.folder(samples.csv, name="plain")).rows
    assert found.tally.files["ratings.csv"].rows == 5


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("1,1,9.5,964982703", "ratings.csv:7: column rating: '9.5' is not between 0.5 and 5"),
        ("1,1,0,964982703", "ratings.csv:7: column rating: '0' is not between 0.5 and 5"),
        ("1,1,-1,964982703", "ratings.csv:7: column rating: '-1' is not between 0.5 and 5"),
        ("1,1,nan,964982703", "ratings.csv:7: column rating: 'nan' is not a number"),
        ("1,1,,964982703", "ratings.csv:7: column rating: '' is not a number"),
        ("1,1,four,964982703", "ratings.csv:7: column rating: 'four' is not a number"),
        ("1,99,4.0,964982703", "ratings.csv:7: column movieId: movie 99 is not in movies.csv"),
        ("1,x,4.0,964982703", "ratings.csv:7: column movieId: 'x' is not a whole number"),
        (",1,4.0,964982703", "ratings.csv:7: column userId: '' is not a whole number"),
        ("a\tb,1,4.0,964982703", "ratings.csv:7: column userId: 'a\\tb' is not a whole number"),
        ("١,1,4.0,964982703", "ratings.csv:7: column userId: '١' is not a whole number"),
        ("1,1,4.0,yesterday", "ratings.csv:7: column timestamp: 'yesterday' is not a whole number of seconds since 1970"),
        ("1,1,4.0,-5", "ratings.csv:7: column timestamp: '-5' is not a whole number of seconds since 1970"),
        ("1,1,4.0,99999999999", "ratings.csv:7: column timestamp: '99999999999' is in the future"),
        ("1,1,4.0", "ratings.csv:7: 3 fields where 4 were expected"),
        ("1,1,4.0,964982703,x", "ratings.csv:7: 5 fields where 4 were expected"),
        ('1,1,"4.0,964982703', "ratings.csv:7: the quotes do not match (unexpected end of data)"),
        ("1,1,4.0,\0", "ratings.csv:7: column timestamp: '\\x00' is not a whole number of seconds since 1970"),
    ],
)
def test_a_bad_rating_is_named_and_the_others_are_kept(samples, read, row, complaint):
    files = {**samples.csv, "ratings.csv": samples.csv["ratings.csv"] + row + "\n3,1,1.0,1445714838\n"}
    found = read(samples.folder(files))
    assert found.bad == [complaint]
    assert len(found.rows) == 6
    assert (found.tally.files["ratings.csv"].rows, found.tally.files["ratings.csv"].bad) == (7, 1)


@pytest.mark.parametrize(
    ("file", "row", "complaint"),
    [
        ("movies.csv", "x,Heat (1995),Action", "movies.csv:5: column movieId: 'x' is not a whole number"),
        ("movies.csv", "1,Heat (1995),Action", "movies.csv:5: column movieId: movie 1 is on line 2 already"),
        ("movies.csv", "4, ,Action", "movies.csv:5: column title: is empty"),
        ("movies.csv", "4,He\0at,Action", "movies.csv:5: column title: 'He\\x00at' is not UTF-8 text"),
        ("movies.csv", "4,Heat (1995)", "movies.csv:5: 2 fields where 3 were expected"),
        ("tags.csv", "1,9,fun,1445714994", "tags.csv:6: column movieId: movie 9 is not in movies.csv"),
        ("tags.csv", "1,1,,1445714994", "tags.csv:6: column tag: is empty"),
        ("links.csv", "9,1,1", "links.csv:5: column movieId: movie 9 is not in movies.csv"),
        ("links.csv", "3,tt1,1", "links.csv:5: column imdbId: 'tt1' is not a whole number"),
    ],
)
def test_bad_rows_of_the_other_csv_files(samples, read, file, row, complaint):
    found = read(samples.folder({**samples.csv, file: samples.csv[file] + row + "\n"}))
    assert found.bad == [complaint]
    assert len(found.items) == 3
    assert len(found.rows) == 5


@pytest.mark.parametrize(
    ("file", "change", "complaint"),
    [
        ("u.data", ("186\t1\t5", "186\t1\t6"), "u.data:2: column rating: '6' is not between 0.5 and 5"),
        ("u.data", ("186\t1\t5", "186 1 5"), "u.data:2: 2 fields where 4 were expected"),
        ("u.item", ("21-Oct-1995", "21-10-1995"), "u.item:2: column release date: '21-10-1995' is not a date such as 01-Jan-1995"),
        ("u.item", ("21-Oct-1995", "31-Feb-1995"), "u.item:2: column release date: '31-Feb-1995' is not a date such as 01-Jan-1995"),
        ("u.item", ("|||0|0", "|||0|7"), "u.item:2: column Action: '7' is not 0 or 1"),
        ("u.user", ("53|F", "old|F"), "u.user:2: column age: 'old' is not a whole number"),
        ("u.user", ("53|F", "53|?"), "u.user:2: column gender: '?' is not known"),
    ],
)
def test_bad_rows_of_100k(samples, read, file, change, complaint):
    files = {**samples.ml_100k, file: samples.ml_100k[file].replace(*change)}
    assert complaint in read(samples.folder(files, encoding="latin-1")).bad


def test_bytes_that_are_not_text_are_a_bad_row(samples, read):
    folder = samples.folder(samples.csv)
    with (folder / "movies.csv").open("ab") as file:
        file.write(b"4,Mis\xe9rables,Drama\n")
    assert read(folder).bad == ["movies.csv:5: column title: 'Mis\\udce9rables' is not UTF-8 text"]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "ratings.csv",
            "userId,movieId,stars,timestamp\n",
            "ratings.csv lacks the column rating; its first line is 'userId,movieId,stars,timestamp'",
        ),
        ("ratings.csv", "", "ratings.csv lacks the columns userId, movieId, rating, timestamp; its first line is empty"),
        ("movies.csv", "1,Heat (1995),Crime\n", "movies.csv lacks the columns movieId, title, genres; its first line is '1,Heat"),
        ("tags.csv", '"userId,movieId\n', "tags.csv: the header line cannot be read: the quotes do not match"),
        ("links.csv", "movieId,imdbId,tmdbId\n" + "1" * 3_000_000, "links.csv:2: a line of more than 1 MB is no row of a text file"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_ends_the_reading(samples, read, file, content, message):
    with pytest.raises(FileUnusable) as caught:
        read(samples.folder({**samples.csv, file: content}))
    assert str(caught.value).startswith(message)


def test_a_file_that_is_mostly_bad_is_refused_unless_a_limit_allows_it(samples, read):
    ratings = "userId,movieId,rating,timestamp\n1,1,4.0,964982703\n" + "1,1,7,964982704\n" * 2
    folder = samples.folder({**samples.csv, "ratings.csv": ratings})
    with pytest.raises(TooManyBadRows, match=r"2 of 3 rows of ratings\.csv are bad, the first one ratings\.csv:3: column rating: '7'"):
        read(folder)
    assert len(read(folder, most_bad=2).rows) == 1
    with pytest.raises(TooManyBadRows, match=r"more than 1 rows are bad, the last one ratings\.csv:4: column rating"):
        read(folder, most_bad=1)


def test_lines_are_numbered_across_blocks(samples, read):
    good = "".join(f"{user},1,4.0,964982703\n" for user in range(1, 60_001))
    ratings = "userId,movieId,rating,timestamp\n" + good + "1,1,9.5,964982703\n" + good
    found = read(samples.folder({**samples.csv, "ratings.csv": ratings}))
    assert found.bad == ["ratings.csv:60002: column rating: '9.5' is not between 0.5 and 5"]
    assert len(found.rows) == 120_000


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\n"), max_size=40))
def test_any_line_is_a_good_row_a_bad_row_or_blank(samples, read, line):
    """The fast path and the close look agree with a plain reading of the csv."""
    found = read(samples.folder({**samples.csv, "ratings.csv": "userId,movieId,rating,timestamp\n" + line + "\n"}), most_bad=1)
    assert found.tally.files["ratings.csv"].rows == len(found.rows) + found.tally.files["ratings.csv"].bad <= 1


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    who=st.tuples(st.sampled_from(["1", "007", "0", "x", "", " 1"]), st.sampled_from(["1", "2", "9", "1 ", ""])),
    rating=st.one_of(st.sampled_from(["5", "5.0", "0.5", "0.4", "5.1", "4.25", "1e0", "+4", "4_0"]), st.floats().map(str)),
    moment=st.sampled_from(["0", "964982703", "9649_82703", " 964982703", "1.5", str(int(time.time()) + 200_000)]),
)
def test_a_rating_is_good_exactly_if_each_column_is(samples, read, who, rating, moment):
    user, item = who
    text = f"{user},{item},{rating},{moment}"
    found = read(samples.folder({**samples.csv, "ratings.csv": "userId,movieId,rating,timestamp\n9,1,4,9\n" + text + "\n"}), most_bad=1)
    is_plain = "".join(rating.split(".", 1)).isdecimal()
    is_good = user in {"1", "007", "0"} and item in {"1", "2"} and is_plain and 0.5 <= float(rating) <= 5 and moment in {"0", "964982703"}
    assert found.rows[1:] == ([(user, item, "rating", float(rating), int(moment))] if is_good else [])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(title=st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\n\r\0"), min_size=1).filter(str.strip))
def test_any_title_survives_quoting(samples, read, title):
    folder = samples.folder(samples.csv)
    with (folder / "movies.csv").open("a", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow(["77", f"{title} !(1987)!", "Drama"])
    assert read(folder).items["77"].title.split() == f"{title} !(1987)!".split()


def test_ml_latest_small(movielens, read):
    found = read(movielens)
    assert (len(found.items), len(found.rows), found.bad) == (9742, 100_836, [])
    assert found.items["1"].tags[0].casefold() == "pixar"
    assert found.items["2571"].title == "The Matrix"
    assert found.items["2571"].released_at == datetime(1999, 1, 1, tzinfo=UTC)
    assert sum(item.released_at is None for item in found.items.values()) < 20
