"""Files on Google Drive that anyone with the link may read: told by their address, fetched past the page that warns of large ones."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from datasets.problems import DownloadFailed
from datasets.rows import Progress

ADDRESS: Final = "https://drive.google.com/uc?id={}"
HOSTS: Final = ("drive.google.com", "docs.google.com", "drive.usercontent.google.com")
TIMEOUT_SECONDS: Final = 30.0
RETRIES: Final = 3

_LARGEST_PAGE: Final = 1 << 20
_IN_PATH: Final = re.compile(r"^/file/d/([A-Za-z0-9_-]+)")


class _TooLarge(Exception):
    """Raised from the progress callback, which ends the transfer."""


def file_id(url: str) -> str | None:
    """The id in the address of a file on Google Drive, however it was shared; None for any other address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.hostname not in HOSTS:
        return None
    if found := _IN_PATH.match(parts.path):
        return found[1]
    return next(iter(parse_qs(parts.query).get("id", [])), None)


def download(
    file_id: str,
    path: Path,
    *,
    largest_bytes: int,
    on_progress: Callable[[Progress], None],
    address: str = ADDRESS,
    retries: int = RETRIES,
) -> None:
    """Save the file under `path`. Raises `DownloadFailed`.

    Broken transfers are taken up where they ended, up to `retries` times; a server silent for 30 s counts as one.
    `address` is where ids are looked up; another one serves tests and mirrors, which may have a page that warns of large files too.
    """
    # Late, because it is slow to import and seldom wanted.
    import gdown
    from gdown.download import get_url_from_gdrive_confirmation
    from gdown.exceptions import DownloadError, FileURLRetrievalError

    def watch(done: int, total: int | None) -> None:
        if max(done, total or 0) > largest_bytes:
            raise _TooLarge
        on_progress(Progress("download", done, total))

    def fetch(url: str) -> None:
        gdown.download(url, str(path), quiet=True, use_cookies=False, progress=watch, timeout=TIMEOUT_SECONDS, retries=retries)

    name = f"the file {file_id} on Google Drive"
    try:
        fetch(address.format(file_id))
        if (page := _page(path)) is not None:  # gdown itself knows it at Google's own address only
            fetch(get_url_from_gdrive_confirmation(page))
    except _TooLarge:
        raise DownloadFailed(f"{name} is larger than the limit of {largest_bytes / 1e6:,.0f} MB; download it by other means") from None
    except FileURLRetrievalError as error:
        raise DownloadFailed(f"{name} cannot be read by anyone with the link, or is asked for too often at present") from error
    except (DownloadError, OSError) as error:  # what requests raises is an OSError
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DownloadFailed(f"{name} could not be downloaded ({reason})") from error


def _page(path: Path) -> str | None:
    """The page that came in place of the file."""
    with path.open("rb") as file:
        start = file.read(_LARGEST_PAGE)
    return start.decode(errors="replace") if start.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")) else None
