"""Downloads come from a real server on this machine, and end in a sentence when they cannot."""

import contextlib
from http.server import BaseHTTPRequestHandler

import pytest

from datasets.importing import import_dataset
from datasets.problems import ArchiveUnreadable, DownloadFailed
from tests.rigs.web import serving


class Handler(BaseHTTPRequestHandler):
    """/data.zip is the archive, /moved leads to it, /cut ends early, /endless has no length; anything else is missing."""

    content = b""

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/data.zip")
            self.end_headers()
            return
        self.send_response(200 if path in {"/data.zip", "/cut", "/endless"} else 404)
        if path != "/endless":
            self.send_header("Content-Length", str(len(self.content) if path in {"/data.zip", "/cut"} else 0))
        self.end_headers()
        if path in {"/data.zip", "/cut"}:
            self.wfile.write(self.content if path == "/data.zip" else self.content[:100])
        elif path == "/endless":
            with contextlib.suppress(ConnectionError):  # the client hangs up when it has had enough
                for _ in range(50):
                    self.wfile.write(b"x" * 10_000)


@pytest.fixture
def server(samples):
    handler = type("Serving", (Handler,), {"content": samples.zip(samples.csv).read_bytes()})
    with serving(handler) as url:
        yield url


@pytest.mark.parametrize("path", ["/data.zip?key=secret", "/moved"])
def test_an_archive_is_downloaded_and_read(server, path):
    seen = []
    report = import_dataset(server + path, connection=None, on_progress=seen.append)
    assert report.loaded.interactions.read == 5
    assert "secret" not in report.source
    downloads = [progress for progress in seen if progress.stage == "download"]
    assert downloads[-1].done == downloads[-1].total > 0


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/missing", r"/missing could not be downloaded: the server answered 404 Not Found$"),
        ("/cut", r"/cut could not be downloaded \(.*\)$"),
    ],
)
def test_what_the_server_does_not_give(server, path, message):
    with pytest.raises(DownloadFailed, match=message):
        import_dataset(server + path, connection=None)


@pytest.mark.parametrize("path", ["/data.zip", "/endless"])
def test_the_limit_holds_whether_the_size_is_announced_or_not(server, path):
    with pytest.raises(DownloadFailed, match=r"is larger than the limit of 0 MB"):
        import_dataset(server + path, connection=None, largest_download_bytes=1000)


def test_a_page_that_is_no_archive(server):
    with pytest.raises(ArchiveUnreadable, match=r"^http://127\.0\.0\.1:\d+/endless is neither a folder nor"):
        import_dataset(f"{server}/endless", connection=None)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://example.org/a.zip", r"^ftp://example\.org/a\.zip cannot be downloaded: only http and https addresses can$"),
        ("http://user:secret@127.0.0.1:1/a.zip?key=secret", r"^http://127\.0\.0\.1:1/a\.zip could not be downloaded \((?!.*secret).*\)$"),
        ("http://host:port/a.zip", r"^the address cannot be read: "),
        ("http://", r"could not be downloaded"),
    ],
)
def test_addresses_that_lead_nowhere(url, message):
    with pytest.raises(DownloadFailed, match=message):
        import_dataset(url, connection=None)
