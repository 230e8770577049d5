"""Downloads a data set from the web into a temporary file, with a limit to its size."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from datasets import drive
from datasets.problems import DownloadFailed
from datasets.rows import Progress

LARGEST_DOWNLOAD_BYTES = 4 << 30
TIMEOUT_SECONDS = 30.0


def is_url(source: str) -> bool:
    """Whether the source is an address rather than a path."""
    return "://" in source


def public_form(url: str) -> str:
    """The address as it may be shown: without a password and without a query, which may carry a key."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise DownloadFailed(f"the address cannot be read: {error}") from error
    return str(parsed.copy_with(username=None, password=None, query=None, fragment=None))


@contextmanager
def downloaded(url: str, *, largest_bytes: int = LARGEST_DOWNLOAD_BYTES, on_progress: Callable[[Progress], None]) -> Iterator[Path]:
    """The file behind an http or https address, for as long as the context lives. Raises `DownloadFailed`."""
    name = public_form(url)
    if httpx2.URL(url).scheme not in {"http", "https"}:
        raise DownloadFailed(f"{name} cannot be downloaded: only http and https addresses can")
    with tempfile.TemporaryDirectory(prefix="marquee-download-") as folder:
        path = Path(folder) / "download"
        if file_id := drive.file_id(url):
            drive.download(file_id, path, largest_bytes=largest_bytes, on_progress=on_progress)
            yield path
            return
        try:
            with httpx2.stream("GET", url, follow_redirects=True, timeout=TIMEOUT_SECONDS) as response:
                _save(response, path, name=name, largest_bytes=largest_bytes, on_progress=on_progress)
        except httpx2.HTTPError as error:
            raise DownloadFailed(f"{name} could not be downloaded ({str(error) or type(error).__name__})") from error
        yield path


def _save(response: httpx2.Response, path: Path, *, name: str, largest_bytes: int, on_progress: Callable[[Progress], None]) -> None:
    if response.status_code != httpx2.codes.OK:
        raise DownloadFailed(f"{name} could not be downloaded: the server answered {response.status_code} {response.reason_phrase}".strip())
    announced = response.headers.get("content-length", "")
    total = int(announced) if announced.isdecimal() else None
    done = 0
    with path.open("wb") as file:
        for chunk in response.iter_bytes():
            done += len(chunk)
            if max(done, total or 0) > largest_bytes:
                raise DownloadFailed(f"{name} is larger than the limit of {largest_bytes / 1e6:,.0f} MB; download it by other means")
            file.write(chunk)
            on_progress(Progress("download", done, total))
