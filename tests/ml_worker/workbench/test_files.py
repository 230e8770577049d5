"""Files of events: what is read, and the sentence for everything that is not."""

import pytest

from ml_worker.workbench.files import UnusableFile, read_events


@pytest.fixture
def written(tmp_path):
    def write(content: str | bytes):
        path = tmp_path / "events.tsv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def rows(events) -> list[tuple[str, str]]:
    return [(events.user_ids[user], events.item_ids[item]) for user, item in zip(events.users, events.items, strict=True)]


def test_tabs_and_four_columns(written):
    events = read_events(written("a\tx\t4.5\t100\nb\tx\t-1\t99.0\na\ty\t0\t1e2\n"))
    assert rows(events) == [("a", "x"), ("b", "x"), ("a", "y")]
    assert events.values.tolist() == [4.5, -1, 0]
    assert events.times.tolist() == [100, 99, 100]


def test_commas_and_two_columns_without_a_last_newline(written):
    events = read_events(written("a,x\nb,y"))
    assert rows(events) == [("a", "x"), ("b", "y")]
    assert events.values is None
    assert events.times is None


def test_ids_are_kept_as_they_are_written(written):
    events = read_events(written('007\tFilm, the\t1\n7\t "x" \t1\n1.0\tÄ\t1\n'))
    assert events.user_ids == ("007", "7", "1.0")
    assert events.item_ids == ("Film, the", ' "x" ', "Ä")


def test_byte_order_marks_carriage_returns_and_empty_lines_are_skipped(written):
    events = read_events(written(b"\xef\xbb\xbf\r\na,x,1\r\n\r\n\r\nb,y,2\r\n\r\n"))
    assert rows(events) == [("a", "x"), ("b", "y")]
    assert events.values.tolist() == [1, 2]


def test_equal_lines_are_all_kept(written):
    assert rows(read_events(written("a,x\na,x\n"))) == [("a", "x"), ("a", "x")]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is empty; expected are lines of user, item"),
        ("\n\n", "is empty"),
        ("a,x,4\na,y,good\n", "line 2: the value is 'good', not a finite number"),
        ("a,x,4\n\n\na,y,nan\n", "line 4: the value is 'nan', not a finite number"),
        ("a,x,inf\n", "line 1: the value is 'inf', not a finite number"),
        ("a,x,1,1e30\n", "line 1: the timestamp is '1e30', too large for seconds"),
        ("a,x,1,5\na,y,1,\n", "line 2: the timestamp is '', not a finite number"),
        ("a,x,1,1e300\n", "line 1: the timestamp is '1e300'"),
        ("a,x,1\na,y\n", "line 2: has 2 columns where the first line has 3"),
        ("a,x\n,y\n", "line 2: the user is empty"),
        ("a,x\na,\n", "line 2: the item is empty"),
        ("1::2::5::100\n", r"line 1: '1::2::5::100' \(`::` is not read: replace it by a tab\); expected are user, item and optionally"),
        ("1 2 3 4\n", "line 1: '1 2 3 4'; expected are user, item and optionally value and timestamp .seconds., separated by tabs or"),
        ("a,b,c,d,e\n", "line 1: 'a,b,c,d,e'; expected"),
        ("user_id,item_id\na,x\n", "line 1: 'user_id,item_id' looks like a header"),
        ("name,item,value\na,x,1\n", "line 1: the value is 'value', not a finite number; a header has to be removed"),
        (b"a,x\n\xff,y\n", "is not UTF-8 text"),
    ],
)
def test_what_cannot_be_read_is_told_with_file_and_line(written, content, sentence):
    with pytest.raises(UnusableFile, match=sentence) as told:
        read_events(written(content))
    assert "events.tsv" in str(told.value)


def test_lines_are_numbered_across_blocks(written):
    lines = [f"u{n},i{n % 7},1" for n in range(210_000)]
    lines[207_123] = "u,i,wrong"
    with pytest.raises(UnusableFile, match="line 207,124: the value is 'wrong'"):
        read_events(written("\n".join(lines)))
    lines[207_123] = "u207123,i0,1"
    events = read_events(written("\n".join(lines)))
    assert events.user_ids == tuple(f"u{n}" for n in range(210_000))
    assert len(events.item_ids) == 7


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UnusableFile, match=r"nothing\.csv cannot be read: No such file or directory"):
        read_events(tmp_path / "nothing.csv")
    with pytest.raises(UnusableFile, match="cannot be read: Is a directory"):
        read_events(tmp_path)
