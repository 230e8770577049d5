"""Small data sets in every published layout, written by the tests themselves."""

import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from datasets.archives import open_source
from datasets.layouts import FILE_NAMES, recognise
from datasets.movielens import MovieLens
from datasets.report import Tally

CSV = {
    "movies.csv": (
        "movieId,title,genres\n"
        "1,Toy Story (1995),Adventure|Animation|Children\n"
        '2,"Matrix, The (1999)",Action|Sci-Fi\n'
        '3,"City of Lost Children, The (Cité des enfants perdus, La) (1995)",(no genres listed)\n'
    ),
    "ratings.csv": (
        "userId,movieId,rating,timestamp\n1,1,4.0,964982703\n1,2,0.5,964981247\n2,1,5.0,1445714835\n2,3,3.5,1445714836\n3,3,2.0,1445714837\n"
    ),
    "tags.csv": (
        'userId,movieId,tag,timestamp\n1,1,pixar,1445714994\n2,1,Pixar,1445714995\n2,1,"so ""fun""",1445714996\n3,2,wuxia,1445714997\n'
    ),
    "links.csv": "movieId,imdbId,tmdbId\n1,0114709,862\n2,0133093,603\n3,0112682,\n",
    "README.txt": "Not data.\n",
    "genome-scores.csv": "movieId,tagId,relevance\n1,1,0.02875\n",
}

ML_1M = {
    "movies.dat": "1::Toy Story (1995)::Animation|Children's|Comedy\n2::Misérables, Les (1995)::Drama|Musical\n",
    "users.dat": "1::F::1::10::48067\n2::M::56::16::70072\n",
    "ratings.dat": "1::1::5::978300760\n1::2::3::978302109\n2::2::4::978301968\n",
}

ML_10M = {
    "movies.dat": "1::Toy Story (1995)::Adventure|Animation\n2::Misérables, Les (1995)::(no genres listed)\n",
    "ratings.dat": "1::1::5::838985046\n1::2::4.5::838983525\n",
    "tags.dat": "1::1::excellent!::1215184630\n",
}

_FLAGS = (
    "unknown Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy "
    "Film-Noir Horror Musical Mystery Romance Sci-Fi Thriller War Western"
)


def flags(*genres):
    return "|".join(str(int(name in genres)) for name in _FLAGS.split())


ML_100K = {
    "u.data": "196\t2\t3\t881250949\n186\t1\t5\t891717742\n",
    "u.item": (
        f"1|Toy Story (1995)|01-Jan-1995||http://us.imdb.com/M/title-exact?Toy%20Story%20(1995)|{flags('Animation', 'Comedy')}\n"
        f"2|Misérables, Les (1995)|21-Oct-1995|||{flags('Drama')}\n"
        f"267|unknown||||{flags('unknown')}\n"
    ),
    "u.user": "186|24|M|technician|85711\n196|53|F|other|94043\n",
    "u.genre": "".join(f"{name}|{place}\n" for place, name in enumerate(_FLAGS.split())) + "\n",
    "u.occupation": "technician\nother\n",
    "u1.base": "1\t1\t5\t874965758\n",
}


class Samples:
    """The files of each layout as text, and what writes them below the test's folder."""

    csv, ml_1m, ml_10m, ml_100k = CSV, ML_1M, ML_10M, ML_100K

    def __init__(self, home: Path) -> None:
        self.home = home

    def folder(self, files: dict[str, str], *, name: str = "ml-test", encoding: str = "utf-8") -> Path:
        folder = self.home / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            (folder / file).write_bytes(content.encode(encoding))
        return folder

    def zip(self, files: dict[str, str], *, inside: str = "ml-test/", name: str = "ml-test.zip") -> Path:
        with zipfile.ZipFile(self.home / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for file, content in files.items():
                archive.writestr(inside + file, content.encode())
        return self.home / name

    def tar(self, files: dict[str, str], *, name: str = "ml-test.tar.gz", mode: str = "w:gz") -> Path:
        with tarfile.open(self.home / name, mode) as archive:
            archive.add(self.folder(files, name="packed"), arcname="deep/down/ml-test")
        return self.home / name


@pytest.fixture
def samples(tmp_path):
    return Samples(tmp_path)


@pytest.fixture
def read():
    """Reads a source without a database and returns its report, its rows and its bad rows."""

    def read_source(path, **options):
        tally = Tally(**options)
        with open_source(Path(path), wanted=FILE_NAMES, shown_as=Path(path).name) as files:
            dataset = MovieLens(recognise(files, shown_as=Path(path).name), tally=tally)
            users = {user.id: user for user in dataset.users()}
            items = {item.id: item for item in dataset.items()}
            rows = [row for chunk in dataset.interactions() for row in chunk]
        return SimpleNamespace(users=users, items=items, rows=rows, tally=tally, bad=[str(row) for row in tally.first_bad])

    return read_source
