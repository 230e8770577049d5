"""What the commands check before they begin, so that nothing is refused after hours of training."""

import importlib.util
from pathlib import Path

from ml_worker.workbench.report import Report


class AskedWrongly(Exception):
    """Options that do not go together or cannot be met; the message says which."""


def check_writable(*paths: Path | None) -> None:
    """Whether these files could be written. Raises `AskedWrongly`."""
    for path in filter(None, paths):
        if path.is_dir():
            raise AskedWrongly(f"{path} cannot be written: it is a folder")
        if not path.absolute().parent.is_dir():
            raise AskedWrongly(f"{path} cannot be written: {path.absolute().parent} is no folder")


def check_plots(folder: Path | None) -> None:
    """Whether plots could be drawn into this folder. Raises `AskedWrongly`."""
    if folder is None:
        return
    if folder.exists() and not folder.is_dir():
        raise AskedWrongly(f"{folder} is not a folder to draw plots into")
    if importlib.util.find_spec("matplotlib") is None:
        raise AskedWrongly("plots need matplotlib, which is not installed: uv sync --group plots")


def draw_plots(report: Report, folder: Path) -> None:
    """The plots of the report; see `plots.draw`. Without plots matplotlib is not needed."""
    from ml_worker.workbench.plots import draw

    draw(report, folder)
