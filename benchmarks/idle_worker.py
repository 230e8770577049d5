"""`python -m benchmarks.idle_worker BATCH SECONDS`: the product's worker, with tasks that wait so long and do nothing, so many at once."""

import sys
import time
from collections.abc import Sequence
from typing import Any

import ml_worker.main
from core.messages import Payload, RecommendPayload, RefreshShardPayload
from ml_worker.handlers.base import Answer, Context, Handler, Job, Product


def main() -> None:
    max_batch, seconds = int(sys.argv[1]), float(sys.argv[2])

    def run(jobs: Sequence[Job[Payload]], _context: Context) -> list[Answer]:
        if seconds:
            time.sleep(seconds)
        return [Product({}) for _ in jobs]

    handlers: dict[str, Handler[Any]] = {
        payload.kind: Handler(payload=payload, run=run, max_batch=max_batch) for payload in (RecommendPayload, RefreshShardPayload)
    }
    ml_worker.main.main(handlers)


if __name__ == "__main__":
    main()
