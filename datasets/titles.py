"""How titles of a data set become titles of the catalogue: without the year, and with the article in front."""

import re
from datetime import UTC, datetime

FIRST_FILM = 1874

_YEAR = re.compile(r"^(?P<title>.*?)\s*\((?P<year>\d{4})(?:\s*[-–]\s*(?:\d{4})?)?\s*\)\s*$")
_ARTICLE = re.compile(
    r"^(?P<prefix>a\.k\.a\. )?(?P<rest>.+), "
    r"(?P<article>The|A|An|L'|La|Le|Les|Un|Une|Il|Lo|Gli|I|El|Los|Las|Der|Die|Das|Ein|Eine|De|Het|Den|Det|En|Et|O|Os|As)$"
)
_PARENTHESES = re.compile(r"\(([^()]*)\)")


def split_year(title: str) -> tuple[str, datetime | None]:
    """`Toy Story (1995)` as the title and 1 January of the year; a series (`2006–2007`) counts from its first year."""
    match = _YEAR.match(title)
    if match is None or not match["title"] or int(match["year"]) < FIRST_FILM:
        return title.strip(), None
    return match["title"], datetime(int(match["year"]), 1, 1, tzinfo=UTC)


def article_first(title: str) -> str:
    """`Matrix, The` as `The Matrix`, also inside parentheses: `Avventura, L' (a.k.a. Adventure, The)`."""
    head, parenthesis, tail = title.partition(" (")
    turned = _turn(head)
    if not parenthesis:
        return turned
    return turned + _PARENTHESES.sub(lambda match: f"({_turn(match[1])})", parenthesis + tail)


def _turn(name: str) -> str:
    match = _ARTICLE.match(name)
    if match is None:
        return name
    gap = "" if match["article"].endswith("'") else " "
    return f"{match['prefix'] or ''}{match['article']}{gap}{match['rest']}"
