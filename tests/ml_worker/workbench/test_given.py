"""What files of events ask for, and what of them cannot count."""

import re

import pytest

from ml_worker.workbench.files import UnusableFile, read_events
from ml_worker.workbench.given import infer_protocol, read_given


@pytest.fixture
def written(tmp_path):
    def write(name: str, *lines: str):
        path = tmp_path / name
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    return write


def wanted(given) -> dict[str, list[str]]:
    train, truth = given.split.train, given.split.test
    return {
        train.user_ids[row]: [train.item_ids[item] for item in truth.items[truth.offsets[question] : truth.offsets[question + 1]]]
        for question, row in enumerate(truth.rows)
    }


def test_what_is_to_be_found_and_what_cannot_count(written):
    given = read_given(
        written("train", "b,y,1", "a,x,5", "a,x,5", "c,z,1", "d,x,-2", "e,y,0"),
        written("test", "a,y,1", "a,x,1", "a,new,1", "a,y,1", "stranger,x,1", "b,z,-1", "c,x,2", "d,z,0.5"),
    )
    assert given.split.train.user_ids == ("a", "b", "c", "d", "e")
    assert given.split.train.item_ids == ("x", "y", "z")  # what only the test knows has no column
    assert wanted(given) == {"a": ["y"], "c": ["x"], "d": ["z"]}
    assert given.split.test.sizes.tolist() == [2, 1, 1]
    assert given.asked.tolist() == [0, 1, 2, 3]  # b has nothing to find and gets a list all the same
    assert given.notes == (
        "train: no time stamps; the order of a user's lines is the order in time",
        "test: 1 users are not in the training file and get no list",
        "test: 1 lines have a value of 0 or less and are not to be found",
        "test: 2 lines repeat another or name what the user has in the training file",
        "test: 1 lines name items that are not in the training file; they count as not found",
    )


def test_values_speak_equally_or_in_proportion(written):
    train, test = written("train", "a,x,5", "a,y,1", "b,y,-3", "b,x,0"), written("test", "b,y,1", "a,y,1", "b,q,1")
    assert read_given(train, test).split.train.weights.tolist() == [1, 1, -1, 0]
    assert read_given(train, test, values="scaled").split.train.weights == pytest.approx([5 / 3, 1 / 3, -1, 0])
    without = read_given(written("train", "a,x", "b,y"), written("test", "a,y"))
    assert without.split.train.weights.tolist() == [1, 1]


def test_the_order_of_lines_is_the_order_in_time_where_nothing_else_is_said(written):
    given = read_given(written("train", "a,z", "b,x", "a,x", "a,y"), written("test", "b,z", "b,y"))
    histories = given.split.train.histories()
    assert [given.split.train.item_ids[item] for item in histories.items] == ["z", "x", "y", "x"]
    assert wanted(given) == {"b": ["z", "y"]}


def test_choosing_uses_the_validation_file_alone(written):
    given = read_given(written("train", "a,x", "b,y"), written("test", "a,y"), written("valid", "b,x", "new,x"))
    assert given.validation is not None
    assert given.validation.rows.tolist() == [1]
    assert len(given.split.train) == 2
    assert "valid: 1 users are not in the training file and get no list" in given.notes


@pytest.mark.parametrize(
    ("train", "test", "protocol", "why"),
    [
        (["a,x,1,5", "b,x,1,9"], ["a,y,1,5", "b,y,1,10"], "next", "100% of its lines are not earlier"),
        (["a,x,1,5", "b,x,1,9"], ["a,y,1,6", "a,z,1,7", "b,y,1,10"], "future", "only 50% of its users have one line"),
        (["a,x,1,5", "b,x,1,9"], ["a,y,1,6", "b,y,1,3"], "random", "only 50% of its lines are not earlier"),
        (["a,x", "b,x"], ["a,y", "b,y"], "next", "no time stamps, and 100% of its users have one line"),
        (["a,x", "b,x"], ["a,y", "a,z", "b,y"], "random", "no time stamps, and only 50% of its users have one line"),
        (["a,x,1,5"], ["a,y,1"], "next", "no time stamps"),
        (["a,x,1,5"], ["new,y,1,9"], "random", "only 0%"),
    ],
)
def test_the_protocol_is_found_from_times_and_counts(written, train, test, protocol, why):
    found, said = infer_protocol(read_events(written("train", *train)), read_events(written("test", *test)))
    assert found == protocol
    assert why in said


def test_the_protocol_can_be_asked_for(written):
    given = read_given(written("train", "a,x", "b,y"), written("test", "a,y"), protocol="random")
    assert (given.protocol, given.why) == ("random", "as asked for")


@pytest.mark.parametrize("lines", [["stranger,x"], ["a,x"], ["a,y,-1"]])
def test_a_test_that_asks_nothing_is_refused(written, lines):
    values = ",1" if lines[0].count(",") > 1 else ""
    with pytest.raises(UnusableFile, match="none of its 1 lines can be found by anybody known from"):
        read_given(written("train", f"a,x{values}", f"b,y{values}"), written("test", *lines))


def test_ids_that_are_written_differently_are_shown(written):
    said = r"""users are written like "'a'" there and 'a' here"""
    with pytest.raises(UnusableFile, match=re.escape(said)):
        read_given(written("train", "a,x", "b,y"), written("test", "'a',y"))


def test_a_file_in_which_nobody_likes_anything_is_refused(written):
    with pytest.raises(UnusableFile, match="train: none of its 2 values is above 0, so that nobody likes anything"):
        read_given(written("train", "a,x,0", "b,y,-1"), written("test", "a,y,1"))
