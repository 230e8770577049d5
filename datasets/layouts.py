"""The published layouts of MovieLens as data: which files there are, how they are written, what their columns are called."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from datasets.archives import File
from datasets.problems import LayoutUnknown


@dataclass(frozen=True, slots=True)
class Table:
    """A file: its name, its columns in the order of the data set's own description, and what is between them.

    With a header the columns may come in any order and beside others; without one they are exactly these.
    """

    file: str
    columns: tuple[str, ...]
    delimiter: str
    has_header: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of a data set. Ratings and movies must be there, and users if `needs_users` is what tells the layout from another."""

    name: str
    encoding: str
    ratings: Table
    movies: Table
    users: Table | None = None
    genres: Table | None = None
    tags: Table | None = None
    links: Table | None = None
    needs_users: bool = False

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the files without which it is not this layout."""
        users = (self.users.file,) if self.users and self.needs_users else ()
        return (self.ratings.file, self.movies.file, *users)


FLAGGED_GENRES: Final = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
"""The genres of u.item's flags in their order, where there is no u.genre to say so."""

AGE_GROUPS: Final = {"1": "under 18", "18": "18-24", "25": "25-34", "35": "35-44", "45": "45-49", "50": "50-55", "56": "56 or older"}
OCCUPATIONS: Final = (
    "other", "academic or educator", "artist", "clerical or admin", "college or grad student", "customer service",
    "doctor or health care", "executive or managerial", "farmer", "homemaker", "K-12 student", "lawyer", "programmer", "retired",
    "sales or marketing", "scientist", "self-employed", "technician or engineer", "tradesman or craftsman", "unemployed", "writer",
)  # fmt: skip
"""What the numbers in users.dat of the 1m data set mean."""

_DAT_RATINGS = Table("ratings.dat", ("UserID", "MovieID", "Rating", "Timestamp"), "::")
_DAT_MOVIES = Table("movies.dat", ("MovieID", "Title", "Genres"), "::")

LAYOUTS: Final = (
    Layout(
        "MovieLens csv (latest, 20m, 25m, 32m)",
        "utf-8",
        ratings=Table("ratings.csv", ("userId", "movieId", "rating", "timestamp"), ",", has_header=True),
        movies=Table("movies.csv", ("movieId", "title", "genres"), ",", has_header=True),
        tags=Table("tags.csv", ("userId", "movieId", "tag", "timestamp"), ",", has_header=True),
        links=Table("links.csv", ("movieId", "imdbId", "tmdbId"), ",", has_header=True),
    ),
    Layout(
        "MovieLens 1m",
        "latin-1",
        ratings=_DAT_RATINGS,
        movies=_DAT_MOVIES,
        users=Table("users.dat", ("UserID", "Gender", "Age", "Occupation", "Zip-code"), "::"),
        needs_users=True,
    ),
    Layout(
        "MovieLens 10m",
        "utf-8",
        ratings=_DAT_RATINGS,
        movies=_DAT_MOVIES,
        tags=Table("tags.dat", ("UserID", "MovieID", "Tag", "Timestamp"), "::"),
    ),
    Layout(
        "MovieLens 100k",
        "latin-1",
        ratings=Table("u.data", ("user id", "item id", "rating", "timestamp"), "\t"),
        movies=Table("u.item", ("movie id", "movie title", "release date", "video release date", "IMDb URL", *FLAGGED_GENRES), "|"),
        users=Table("u.user", ("user id", "age", "gender", "occupation", "zip code"), "|"),
        genres=Table("u.genre", ("genre", "place"), "|"),
    ),
)

TABLES: Final = tuple(
    table
    for layout in LAYOUTS
    for table in (layout.ratings, layout.movies, layout.users, layout.genres, layout.tags, layout.links)
    if table is not None
)
FILE_NAMES: Final = frozenset(table.file for table in TABLES)


@dataclass(frozen=True, slots=True)
class Recognised:
    """A layout and the files that were found of it, by name."""

    layout: Layout
    files: dict[str, File]


def recognise(files: Iterable[File], *, shown_as: str) -> Recognised:
    """The one data set among the files, in whatever folder it sits. Raises `LayoutUnknown` for none and for several."""
    folders: dict[PurePosixPath, dict[str, File]] = defaultdict(dict)
    for file in files:
        if "__MACOSX" not in file.path.parts:  # shadows that macOS packs beside every file
            folders[file.path.parent][file.name] = file
    found = [(folder, layout) for folder in folders for layout in LAYOUTS if folders[folder].keys() >= set(layout.required)]
    if not found:
        raise LayoutUnknown(_what_is_missing(folders, shown_as))
    if len({folder for folder, _ in found}) > 1:
        listed = ", ".join(sorted({str(folder) for folder, _ in found}))
        raise LayoutUnknown(f"{shown_as} holds more than one data set ({listed}); import one of them")
    folder, layout = found[0]
    return Recognised(layout, folders[folder])


def _what_is_missing(folders: dict[PurePosixPath, dict[str, File]], shown_as: str) -> str:
    for files in folders.values():
        for layout in LAYOUTS:
            if present := sorted(files.keys() & set(layout.required)):
                missing = " and ".join(name for name in layout.required if name not in files)
                return f"{shown_as} has {' and '.join(present)} but lacks {missing}"
    pairs = "; ".join(dict.fromkeys(f"{layout.ratings.file} and {layout.movies.file}" for layout in LAYOUTS))
    return f"{shown_as} holds no data set of a known layout, which would have one of these pairs of files: {pairs}"
