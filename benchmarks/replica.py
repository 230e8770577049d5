"""A process with what a worker has in memory; it loads the live model and ranks when it is told to, a word a line."""

import sys

from threadpoolctl import threadpool_limits

from core import log
from core.database import make_pool, transaction
from ml_worker.ranking import make_ranker
from ml_worker.registry import open_registry
from ml_worker.settings import WorkerSettings

USERS = 256


def main() -> None:
    """Say so when ready and after each word: `load`, `rank`."""
    settings = WorkerSettings(_env_file=None)
    log.configure(level="error", style="console")
    threadpool_limits(limits=1, user_api="blas")
    registry = open_registry(settings)
    with make_pool(settings.database_url.get_secret_value(), max_size=2) as pool:
        ranker = make_ranker(pool, registry, settings)
        with transaction(pool) as connection:
            user_ids = [row[0] for row in connection.execute("SELECT id FROM users ORDER BY id LIMIT %s", (USERS,))]
        print("ready", flush=True)
        for line in sys.stdin:
            if line.strip() == "load":
                with transaction(pool) as connection:
                    assert registry.current(connection) is not None
            else:
                assert len(ranker.compute(user_ids)) == len(user_ids)
            print("done", flush=True)


if __name__ == "__main__":
    main()
