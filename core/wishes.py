"""What a request asks for and the catalogue does not have, as statements."""

from typing import Final, Literal, LiteralString, NamedTuple

from core.statement import Statement

Field = Literal["category", "tag"]


class Unknown(NamedTuple):
    """A name that no visible item has, and the one that differs from it by nothing but upper and lower case, if there is one."""

    name: str
    meant: str | None


# Everything is looked through only for a name that is not found.
_UNKNOWN: LiteralString = """
SELECT wanted, (
    SELECT name FROM (SELECT unnest({column}) AS name FROM items WHERE NOT is_hidden) AS there
    WHERE lower(name) = lower(btrim(wanted)) LIMIT 1
) AS meant
FROM unnest(%(names)s::text[]) AS wanted
WHERE NOT EXISTS (SELECT 1 FROM items WHERE {column} @> ARRAY[wanted] AND NOT is_hidden)
"""
_SQL: Final[dict[Field, LiteralString]] = {
    "category": _UNKNOWN.replace("{column}", "categories"),
    "tag": _UNKNOWN.replace("{column}", "tags"),
}


def unknown(field: Field, names: tuple[str, ...]) -> Statement[list[Unknown]]:
    """Those of the names that no visible item has as a category, or as a tag."""
    params = {"names": list(dict.fromkeys(names))}
    return Statement(_SQL[field], params, lambda rows: [Unknown(row["wanted"], row["meant"]) for row in rows])


def unknown_items(item_ids: tuple[str, ...]) -> Statement[list[str]]:
    """Those of the ids that no visible item has."""
    sql = """
    SELECT wanted FROM unnest(%(ids)s::text[]) WITH ORDINALITY AS given (wanted, place)
    WHERE NOT EXISTS (SELECT 1 FROM items WHERE id = wanted AND NOT is_hidden) ORDER BY place
    """
    return Statement(sql, {"ids": list(dict.fromkeys(item_ids))}, lambda rows: [row["wanted"] for row in rows])
