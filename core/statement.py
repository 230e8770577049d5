"""A hand-written SQL statement as a value, so that the async app and the sync worker run the very same text."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, LiteralString, TypeVar

from psycopg import AsyncConnection, Connection
from psycopg.rows import RowMaker, dict_row

T = TypeVar("T")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Statement(Generic[T]):
    """SQL with named placeholders (`%(name)s`), its parameters, and how its rows become a value.

    `binary`: numbers and arrays come as PostgreSQL has them and not as text, which pays where there are many.
    """

    sql: LiteralString
    params: Mapping[str, object]
    read: Callable[[list[Row]], T]
    binary: bool = False

    def run(self, connection: Connection[Any]) -> T:
        """Execute in the connection's open transaction and read the result."""
        with connection.cursor(row_factory=self._rows, binary=self.binary) as cursor:
            cursor.execute(self.sql, self.params)
            return self.read(cursor.fetchall() if cursor.rownumber is not None else [])

    async def run_async(self, connection: AsyncConnection[Any]) -> T:
        """`run` for the event loop."""
        async with connection.cursor(row_factory=self._rows, binary=self.binary) as cursor:
            await cursor.execute(self.sql, self.params)
            return self.read(await cursor.fetchall() if cursor.rownumber is not None else [])

    def _rows(self, cursor: Any) -> RowMaker[Row]:
        """`dict_row`, but what columns are called is found out once: for the thirty of a list, each time, that took .02 ms."""
        names = _NAMES.get(self.sql)
        if names is None:
            if cursor.description is None:
                return dict_row(cursor)
            names = _NAMES[self.sql] = tuple(column.name for column in cursor.description)
        return lambda values: dict(zip(names, values, strict=True))


_NAMES: Final[dict[LiteralString, tuple[str, ...]]] = {}
"""Of the columns of statements that were run; there are as many as there are texts in the code."""


def nothing(_rows: list[Row]) -> None:
    """The reading of a statement whose rows do not matter."""


def first_or_none(rows: list[Row]) -> Row | None:
    """The reading of a statement that finds at most one row."""
    return rows[0] if rows else None
