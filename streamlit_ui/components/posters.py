"""Posters for items without a picture: an SVG from title and categories, always the same for the same item."""

import base64
import hashlib
import html
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

WIDTH: Final = 200
HEIGHT: Final = 300


class Look(NamedTuple):
    """How a genre is painted: from the top colour to the bottom colour, a motif in the accent."""

    top: str
    bottom: str
    accent: str
    motif: str


LOOKS: Final[dict[str, Look]] = {
    "action": Look("#7a1420", "#1c0a14", "#ff8a3d", "rays"),
    "adventure": Look("#0e5a5c", "#0b1f2a", "#f4c95d", "hills"),
    "animation": Look("#5b2bb0", "#1f1147", "#ffd166", "confetti"),
    "children": Look("#1f6f8b", "#14304a", "#ffe08a", "hills"),
    "comedy": Look("#c2571a", "#4a1a12", "#ffe3a3", "confetti"),
    "crime": Look("#3a3f4b", "#0e0f14", "#e5484d", "blinds"),
    "documentary": Look("#2f5d4a", "#101d18", "#dfe7c8", "grid"),
    "drama": Look("#5a2245", "#190d1b", "#f2b5a7", "moon"),
    "family": Look("#1f6f8b", "#14304a", "#ffe08a", "hills"),
    "fantasy": Look("#3b2a86", "#120c2d", "#c6a7ff", "moon"),
    "film-noir": Look("#4a4a4f", "#0a0a0c", "#f1ead8", "blinds"),
    "history": Look("#6b4a26", "#1d130a", "#f0d6a2", "hills"),
    "horror": Look("#4d0d12", "#070608", "#ff4d4d", "moon"),
    "imax": Look("#144a7c", "#081a2e", "#9fd3ff", "grid"),
    "music": Look("#8a1a5c", "#220a24", "#ffb3d9", "rings"),
    "musical": Look("#8a1a5c", "#220a24", "#ffb3d9", "rings"),
    "mystery": Look("#234257", "#0b131c", "#9ad1d4", "rings"),
    "romance": Look("#a32a4e", "#2b0c22", "#ffc2cf", "petals"),
    "sci-fi": Look("#123a7a", "#080b22", "#62e0ff", "rings"),
    "science fiction": Look("#123a7a", "#080b22", "#62e0ff", "rings"),
    "thriller": Look("#1f4a44", "#081211", "#e8f27a", "blinds"),
    "war": Look("#4c4f2e", "#14150d", "#e3b35a", "rays"),
    "western": Look("#a4501f", "#2b130b", "#ffd08a", "rays"),
}
_OTHERS: Final = tuple(LOOKS[name] for name in ("drama", "adventure", "mystery", "fantasy", "comedy", "documentary"))


def look(title: str, categories: Sequence[str]) -> Look:
    """The look of the first category that has one; otherwise one that the title decides."""
    for category in categories:
        known = LOOKS.get(category.casefold())
        if known is not None:
            return known
    return _OTHERS[next(_dice(title)) % len(_OTHERS)]


def poster(title: str, categories: Sequence[str]) -> str:
    """The picture as an SVG document."""
    chosen = look(title, categories)
    drawing = MOTIFS[chosen.motif](_dice(title), chosen.accent)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" preserveAspectRatio="xMidYMid slice">'
        f"<title>{html.escape(title)}</title>"
        f'<defs><linearGradient id="g" x1="0" y1="0" x2=".35" y2="1"><stop offset="0" stop-color="{chosen.top}"/>'
        f'<stop offset="1" stop-color="{chosen.bottom}"/></linearGradient>'
        '<radialGradient id="v" cx=".5" cy=".35" r=".8"><stop offset=".5" stop-color="#000" stop-opacity="0"/>'
        '<stop offset="1" stop-color="#000" stop-opacity=".45"/></radialGradient></defs>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="url(#g)"/>{drawing}<rect width="{WIDTH}" height="{HEIGHT}" fill="url(#v)"/></svg>'
    )


def poster_uri(title: str, categories: Sequence[str]) -> str:
    """The picture as a `data:` address, so that no request is needed."""
    return "data:image/svg+xml;base64," + base64.b64encode(poster(title, categories).encode()).decode()


Dice = Iterator[int]


def _dice(title: str) -> Dice:
    """Endless bytes, the same for the same title."""
    digest = hashlib.sha256(title.encode()).digest()
    while True:
        yield from digest
        digest = hashlib.sha256(digest).digest()


def _between(dice: Dice, low: float, high: float) -> float:
    return round(low + (high - low) * next(dice) / 255, 1)


def _rays(dice: Dice, accent: str) -> str:
    x, y, turn = _between(dice, 40, 160), _between(dice, 80, 150), _between(dice, 0, 20)
    wedges = "".join(f'<path d="M0 0L-14 -400L14 -400Z" transform="rotate({turn + step * 24})"/>' for step in range(15))
    return (
        f'<g transform="translate({x} {y})" fill="{accent}" opacity=".22">{wedges}</g>'
        f'<circle cx="{x}" cy="{y}" r="{_between(dice, 20, 34)}" fill="{accent}" opacity=".92"/>'
    )


def _rings(dice: Dice, accent: str) -> str:
    x, y, count = _between(dice, 50, 150), _between(dice, 70, 140), 4 + next(dice) % 4
    step = _between(dice, 15, 22)
    circles = "".join(
        f'<circle cx="{x}" cy="{y}" r="{round(14 + n * step, 1)}" opacity="{round(0.9 - n * 0.1, 2)}"/>' for n in range(count)
    )
    moon = f'<circle cx="{round(x + 14 + step, 1)}" cy="{y}" r="7" fill="{accent}"/>'
    return (
        f'<g fill="none" stroke="{accent}" stroke-width="2.5" transform="rotate({_between(dice, 0, 350)} {x} {y})">{circles}{moon}</g>'
        f'<circle cx="{x}" cy="{y}" r="9" fill="{accent}"/>'
    )


def _moon(dice: Dice, accent: str) -> str:
    x, y, radius = _between(dice, 60, 140), _between(dice, 75, 120), _between(dice, 36, 56)
    side = 1 if next(dice) % 2 else -1
    bite = f'<circle cx="{round(x + side * radius * 0.42, 1)}" cy="{round(y - radius * 0.18, 1)}" r="{round(radius * 0.9, 1)}"/>'
    horizon = _between(dice, 165, 195)
    stars = "".join(f'<circle cx="{_between(dice, 8, 192)}" cy="{_between(dice, 10, 150)}" r="1.3"/>' for _ in range(9))
    ridge = f'<path d="M0 {horizon}Q60 {horizon - 40} 110 {horizon + 6}T200 {horizon - 20}V300H0Z" fill="#000" opacity=".36"/>'
    return (
        f'<mask id="m"><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/><g fill="#000">{bite}</g></mask>'
        f'<g fill="{accent}"><g opacity=".55">{stars}</g><circle cx="{x}" cy="{y}" r="{radius}" mask="url(#m)"/></g>{ridge}'
    )


def _hills(dice: Dice, accent: str) -> str:
    sun = f'<circle cx="{_between(dice, 40, 160)}" cy="{_between(dice, 60, 100)}" r="{_between(dice, 20, 32)}" fill="{accent}"/>'
    layers = []
    for depth in range(3):
        base = 130 + depth * 38
        left, middle, right = (base - _between(dice, 0, 46) for _ in range(3))
        curve = f"C40 {left:.0f} 70 {left:.0f} 100 {middle:.0f}S160 {right:.0f} 200 {base}"
        layers.append(f'<path d="M0 {base}{curve}V300H0Z" fill="#000" opacity=".26"/>')
    return sun + "".join(layers)


def _blinds(dice: Dice, accent: str) -> str:
    tilt, gap, x = _between(dice, -26, -12), _between(dice, 17, 24), _between(dice, 70, 130)
    stripes = "".join(
        f'<rect x="-80" y="{round(10 + n * gap, 1)}" width="360" height="{round(gap * 0.45, 1)}" opacity="{round(0.55 - n * 0.04, 2)}"/>'
        for n in range(11)
    )
    hat = '<path d="M-34 0Q0 -10 34 0Q0 9 -34 0ZM-19 -2L-15 -24Q0 -31 15 -24L19 -2Z"/>'
    somebody = f'{hat}<ellipse cy="11" rx="14.5" ry="19"/><path d="M-70 190Q-64 44 -12 34H12Q64 44 70 190Z"/>'
    return (
        f'<g fill="{accent}" transform="rotate({tilt} 100 120)">{stripes}</g>'
        f'<g fill="#07060a" opacity=".88" transform="translate({x} {_between(dice, 112, 132)})">{somebody}</g>'
    )


def _petals(dice: Dice, accent: str) -> str:
    y, radius, spread = _between(dice, 90, 125), _between(dice, 36, 50), _between(dice, 18, 30)
    pair = "".join(f'<circle cx="{100 + side * spread}" cy="{y}" r="{radius}" opacity=".5"/>' for side in (-1, 1))
    halo = "".join(f'<circle cx="100" cy="{y}" r="{round(radius * size, 1)}" opacity="{1.2 / size:.2f}"/>' for size in (1.7, 2.1))
    return f'<g fill="{accent}">{pair}</g><g fill="none" stroke="{accent}" stroke-width="2">{halo}</g>'


def _confetti(dice: Dice, accent: str) -> str:
    shapes = []
    for n in range(26):
        x, y, size, turn = _between(dice, 6, 194), _between(dice, 8, 215), _between(dice, 4, 11), _between(dice, 0, 180)
        fill = accent if n % 3 else "#fff"
        if n % 2:
            shapes.append(f'<circle cx="{x}" cy="{y}" r="{size}" fill="{fill}" opacity=".75"/>')
        else:
            shapes.append(
                f'<rect x="{x}" y="{y}" width="{size * 2.4:.1f}" height="{size}" rx="2" fill="{fill}" opacity=".6" '
                f'transform="rotate({turn} {x} {y})"/>'
            )
    return "".join(shapes)


def _grid(dice: Dice, accent: str) -> str:
    x, horizon = _between(dice, 70, 130), _between(dice, 105, 135)
    fan = "".join(f'<path d="M{x} {horizon}L{n * 50 - 150} 300"/>' for n in range(11))
    rows = "".join(f'<path d="M0 {round(horizon + 6 + n * n * 4.2, 1)}H200"/>' for n in range(7))
    return (
        f'<circle cx="{x}" cy="{horizon - 4}" r="{_between(dice, 36, 48)}" fill="{accent}" opacity=".85"/>'
        f'<rect y="{horizon}" width="200" height="200" fill="#000" opacity=".45"/>'
        f'<g stroke="{accent}" stroke-width="1.4" opacity=".6" fill="none">{fan}{rows}</g>'
    )


MOTIFS: Final[dict[str, Callable[[Dice, str], str]]] = {
    "rays": _rays,
    "rings": _rings,
    "moon": _moon,
    "hills": _hills,
    "blinds": _blinds,
    "petals": _petals,
    "confetti": _confetti,
    "grid": _grid,
}
