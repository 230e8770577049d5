"""The rules of the house that no linter knows."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from app.settings import AppSettings, DispatcherSettings
from cli.settings import LocalSettings, ReadySettings, SeedSettings
from core.messages import PAYLOADS, Payload
from core.settings import CoreSettings, FileSettings
from ml_worker.handlers.registry import HANDLERS
from ml_worker.recommenders.base import Recommender
from ml_worker.recommenders.item_weights import ItemWeights
from ml_worker.recommenders.registry import RECOMMENDERS
from ml_worker.settings import WorkerSettings
from streamlit_ui.settings import UiSettings

ROOT = Path(__file__).parents[1]
PACKAGES = ("core", "app", "ml_worker", "streamlit_ui", "datasets", "cli", "benchmarks")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MODULES = [path for path in SOURCES if path.name != "__init__.py"]
SETTINGS: tuple[type[BaseSettings], ...] = (
    CoreSettings, AppSettings, DispatcherSettings, WorkerSettings, UiSettings, LocalSettings, SeedSettings, ReadySettings,
)  # fmt: skip

MAX_FILE_LINES = 320
MAX_FUNCTION_LINES = 55
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base_utils"}


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def offenders(pattern: str, *, except_in: tuple[str, ...] = ()) -> list[str]:
    """Files of the packages in which the pattern occurs."""
    return [relative(path) for path in SOURCES if relative(path) not in except_in and re.search(pattern, path.read_text())]


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def documented_settings() -> list[str]:
    """The names in `.env.example`, commented out or not."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    return [found[1] for line in lines if (found := re.match(r"#?\s?([A-Z][A-Z0-9_]+)=", line))]


def compose_variables() -> set[str]:
    """What docker-compose.yaml reads from the environment and `.env`."""
    return set(re.findall(r"\$\{([A-Z][A-Z0-9_]*)", (ROOT / "docker-compose.yaml").read_text()))


def test_only_the_database_module_commits():
    assert offenders(r"\.commit\(", except_in=("core/database.py",)) == []


def test_nothing_is_pickled():
    assert offenders(r"\bpickle\b|allow_pickle=True|joblib") == []


def test_every_payload_has_exactly_one_handler():
    assert HANDLERS.keys() == PAYLOADS.keys()
    assert {handler.payload for handler in HANDLERS.values()} == set(PAYLOADS.values())
    assert set(Payload.__subclasses__()) == set(PAYLOADS.values())


def test_every_algorithm_is_registered_under_its_name():
    made = {*Recommender.__subclasses__(), *ItemWeights.__subclasses__()} - {ItemWeights}
    assert made == set(RECOMMENDERS.values())
    assert all(name == algorithm.name for name, algorithm in RECOMMENDERS.items())


def test_every_setting_is_documented_and_nothing_else_is():
    expected = {name.upper() for settings in SETTINGS for name in settings.model_fields} | compose_variables()
    expected |= {f"{name.upper()}_FILE" for settings in SETTINGS if issubclass(settings, FileSettings) for name in settings.secret_names()}
    documented = Counter(documented_settings())
    assert set(documented) == expected
    assert [name for name, count in documented.items() if count > 1] == []


def test_the_interface_is_given_every_setting_it_has():
    """The others read all of `.env`; the interface, which needs no secret, sees only what the compose file names."""
    service = (ROOT / "docker-compose.yaml").read_text().split("  streamlit_ui:")[1].split("\n\n")[0]
    assert [name for name in UiSettings.model_fields if f"{name.upper()}:" not in service] == []


def test_every_init_is_empty():
    assert [relative(path) for path in SOURCES if path.name == "__init__.py" and path.read_text().strip()] == []


def test_no_file_has_a_name_that_says_nothing():
    assert [relative(path) for path in SOURCES if path.stem in VAGUE_NAMES] == []


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_says_what_it_holds_and_stays_small(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "a module begins with one sentence that says what lives there"
    assert len(path.read_text().splitlines()) <= MAX_FILE_LINES, "it holds two things: divide it"
    long = [node.name for node in functions(path) if (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION_LINES]
    assert long == [], "these functions do two things"


def test_relative_links_in_the_documents_lead_somewhere():
    pages = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted((ROOT / "docs").rglob("*.md"))
    broken = [
        f"{relative(page)} → {target}"
        for page in pages
        for target in re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []
