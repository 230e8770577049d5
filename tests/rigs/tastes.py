"""People of two tastes, for tests of what models learn from them."""

from typing import Any

from psycopg import Connection


def store_two_tastes(connection: Connection[Any]) -> None:
    """20 westerns and 20 comedies; 80 users who like twelve of one kind each, everybody's twelfth film last of all."""
    connection.execute("INSERT INTO items (id, title) SELECT g || n, g || n FROM generate_series(0, 19) n, unnest(ARRAY['w', 'c']) g")
    connection.execute("INSERT INTO users (id) SELECT 'u' || n FROM generate_series(0, 79) n")
    connection.execute(
        """INSERT INTO interactions (user_id, item_id, type, value, occurred_at)
           SELECT 'u' || u, CASE u % 2 WHEN 0 THEN 'w' ELSE 'c' END || (u * 7 + i * 3) % 20, 'rating', 5,
                  now() - interval '10 days' + (i * 80 + u) * interval '1 minute'
           FROM generate_series(0, 79) u, generate_series(0, 11) i"""
    )
