"""`marquee evaluate` as people call it."""

import csv
import json
import os
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from ml_worker.workbench.asking import AskedWrongly
from ml_worker.workbench.contenders import InvalidContender
from ml_worker.workbench.main import app
from ml_worker.workbench.quality import quality
from ml_worker.workbench.report import Report


def run(*arguments: object):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def marquee(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


@pytest.fixture(scope="session")
def outcome(files, tmp_path_factory):
    """What one call wrote and printed."""
    folder = tmp_path_factory.mktemp("out")
    done = run(
        *("evaluate", "--train", files / "train.tsv", "--test", files / "test.tsv", "--valid", files / "valid.tsv", "--top", 12),
        *("--models", "als", "--set", "als.factors=4", "--set", "als.iterations=5", "--out", folder / "lists.csv"),
        *("--report", folder / "report.json", "--markdown", folder / "report.md"),
    )
    return folder, done


def test_the_lists_hold_what_each_user_of_the_test_may_be_shown(outcome, files):
    with (outcome[0] / "lists.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["user", "item", "rank", "score"]
    lists: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        lists.setdefault(row["user"], []).append(row)
    assert lists.keys() == {f"user {n}" for n in range(40)}
    met = {tuple(line.split("\t")[:2]) for line in (files / "train.tsv").read_text().splitlines()}
    for user, entries in lists.items():
        assert [int(entry["rank"]) for entry in entries] == list(range(1, 13))
        scores = [float(entry["score"]) for entry in entries]
        assert scores == sorted(scores, reverse=True)
        assert len({entry["item"] for entry in entries}) == 12
        assert not {(user, entry["item"]) for entry in entries} & met
        taste = int(user.split()[1]) % 2
        assert sum(int(entry["item"].split()[1]) % 2 == taste for entry in entries[:8]) >= 7


def test_the_report_compares_with_the_baselines_and_says_how_it_was_made(outcome):
    report = Report.model_validate(json.loads((outcome[0] / "report.json").read_text()))
    assert report.split.startswith("future (100% of its lines are not earlier")
    assert (report.data.users, report.data.items, report.data.interactions, report.data.questions) == (40, 30, 280, 40)
    als, popular = (next(model for model in report.models if model.name == name) for name in ("als", "popular"))
    assert als.config["factors"] == 4
    assert als.metrics["ndcg@10"].mean > 2 * popular.metrics["ndcg@10"].mean / 1.5
    assert als.against["popular"]["ndcg@10"].low > 0
    assert "popular" not in popular.against
    assert {cut.name: cut.questions for cut in als.cuts} == {"all users": 40, "users with 5 events or more": 40}
    assert [(cut.name, cut.questions) for cut in als.by_history] == [("5–9", 40)]
    assert als.metrics["recall@50"].mean == 1  # 50 is more than there are


def test_the_table_is_printed_and_progress_goes_elsewhere(outcome):
    out, err = outcome[1].stdout, outcome[1].stderr
    assert "NDCG@10" in out
    assert "popular" in out
    assert "als: training: 100%" in err
    assert "als: training" not in out
    markdown = (outcome[0] / "report.md").read_text()
    assert "| als | " in markdown
    assert "NDCG@10 minus that of the baseline" in markdown


def test_the_default_is_chosen_without_the_test_and_served(files, tmp_path):
    report, lists = tmp_path / "r.json", tmp_path / "lists.csv"
    asked = ("evaluate", "--train", files / "train.tsv", "--test", files / "test.tsv", "--budget", 1, "--top", 5)
    result = run(*asked, "--out", lists, "--report", report)
    first = Report.model_validate_json(report.read_text()).models[0]
    assert first.name == "default"
    assert first.algorithm in {"blend", "rerank", "popular"}
    assert first.choice["held_out"] == "cut from the training data"
    assert first.choice["protocol"] == "future"
    assert f"default is {first.algorithm}" in result.stdout
    assert len(lists.read_text().splitlines()) == 1 + 40 * 5
    run(*asked, "--valid", files / "valid.tsv", "--report", report)
    given = Report.model_validate_json(report.read_text()).models[0]
    assert given.choice["held_out"] == "given"
    assert given.choice["questions"] == 40


def test_only_models_with_parameters_can_be_set(files):
    with pytest.raises(InvalidContender, match="--set names default, which is not among the models with parameters: popular, item_knn"):
        run("evaluate", "--train", files / "train.tsv", "--test", files / "test.tsv", "--set", "default.x=1")


def test_what_cannot_be_done_ends_with_a_sentence_and_code_2(files, tmp_path):
    (tmp_path / "bad.csv").write_text("a,x,1\na,y,nan\n")
    done = marquee("evaluate", "--train", tmp_path / "bad.csv", "--test", files / "test.tsv")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"marquee: {tmp_path}/bad.csv, line 2: the value is 'nan', not a finite number"
    assert done.stdout == ""


def test_ctrl_c_ends_it_with_a_sentence(files, tmp_path):
    os.mkfifo(tmp_path / "endless.tsv")  # a file that is never read to its end
    command = [sys.executable, "-m", "cli.main", "evaluate", "--train", tmp_path / "endless.tsv", "--test", files / "test.tsv"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process, (tmp_path / "endless.tsv").open("w"):  # opens when the reader does
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=100)
    assert process.returncode == 130
    assert told.splitlines()[-1] == "marquee: interrupted"
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--train", "t"], "give --train FILE and --test FILE, or --data"),
        (["--data", "x", "--train", "t"], "not both"),
        (["--out", "/"], "/ cannot be written: it is a folder"),
        (["--report", "/nowhere/r.json"], "/nowhere is no folder"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments, sentence):
    with pytest.raises(AskedWrongly, match=sentence):
        run("evaluate", *arguments)


@pytest.mark.parametrize("split", ["time", "last", "random", "replay", "cold-items", "cold-users"])
def test_a_data_set_is_divided_every_way(dataset, tmp_path, split):
    result = run("evaluate", "--data", dataset, "--split", split, "--models", "popular", "--report", tmp_path / "r.json")
    assert f"{split}: " in result.stdout
    report = Report.model_validate_json((tmp_path / "r.json").read_text())
    assert [model.name for model in report.models] == ["popular", "item_knn"]
    assert (report.data.offered_items < report.data.items) == (split == "cold-items")
    assert 0.01 < report.models[0].metrics["ndcg@10"].mean < 0.9
    assert 0.2 < report.models[0].metrics["diversity@10"].mean < 0.8  # by genres, of which half the pairs share none


def test_the_page_of_quality_is_made_by_one_command(dataset, tmp_path):
    page = tmp_path / "quality.md"
    quality(str(dataset), page, models="default,popular", budget=1)
    text = page.read_text()
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## By time", "## The last of each user", "## At random"]
    assert text.count("\n* default is ") == 3
    assert text.count("\nDefault against best part (") == 3
    assert text.count("| item_knn | ") == 12  # four tables of three splits
    assert str(dataset.parent) not in text
