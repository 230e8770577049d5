"""Files on Google Drive: which addresses are recognised, and what becomes of a download that does not work."""

from http.server import BaseHTTPRequestHandler

import pytest

from datasets import drive
from datasets.problems import DownloadFailed
from datasets.rows import Progress
from tests.rigs.web import serving

CONTENT = bytes(range(256)) * 1000


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://drive.google.com/uc?id=1AbC-d_9", "1AbC-d_9"),
        ("https://drive.google.com/uc?export=download&id=1AbC-d_9", "1AbC-d_9"),
        ("https://drive.google.com/file/d/1AbC-d_9/view?usp=sharing", "1AbC-d_9"),
        ("https://drive.google.com/open?id=1AbC-d_9", "1AbC-d_9"),
        ("https://drive.usercontent.google.com/download?id=1AbC-d_9&confirm=t", "1AbC-d_9"),
        ("https://drive.google.com/drive/folders/1AbC-d_9", None),
        ("https://example.org/uc?id=1AbC-d_9", None),
        ("https://drive.google.com.example.org/uc?id=1AbC-d_9", None),
        ("http://[bad", None),
    ],
)
def test_addresses(url, expected):
    assert drive.file_id(url) == expected


class Serving(BaseHTTPRequestHandler):
    def do_GET(self):
        is_known = self.path.startswith("/uc?id=good")
        self.send_response(200 if is_known else 404)
        self.send_header("Content-Length", str(len(CONTENT) if is_known else 0))
        self.end_headers()
        if is_known:
            self.wfile.write(CONTENT[:1000] if self.path.endswith("cut") else CONTENT)


@pytest.fixture
def address():
    with serving(Serving) as url:
        yield f"{url}/uc?id={{}}"


def download(file_id, path, address, *, largest_bytes=1 << 20, on_progress=lambda _: None):
    drive.download(file_id, path, largest_bytes=largest_bytes, on_progress=on_progress, address=address, retries=0)


def test_a_file_is_saved_and_its_progress_told(address, tmp_path):
    seen = []
    download("good", tmp_path / "file", address, on_progress=seen.append)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert seen[-1] == Progress("download", len(CONTENT), len(CONTENT))


@pytest.mark.parametrize(
    ("file_id", "largest_bytes", "message"),
    [
        ("missing", 1 << 20, r"^the file missing on Google Drive could not be downloaded \(404 "),
        ("good-cut", 1 << 20, r"^the file good-cut on Google Drive could not be downloaded \(Download is incomplete"),
        ("good", 1000, r"^the file good on Google Drive is larger than the limit of 0 MB"),
    ],
)
def test_what_does_not_work_is_said_in_a_sentence(address, tmp_path, file_id, largest_bytes, message):
    with pytest.raises(DownloadFailed, match=message):
        download(file_id, tmp_path / "file", address, largest_bytes=largest_bytes)
    assert not (tmp_path / "file").exists()
