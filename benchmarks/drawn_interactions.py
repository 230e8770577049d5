"""Interactions drawn with what real ones have: popularity by rank, clusters of taste, successors, and histories of very uneven length."""

import numpy as np
from numpy.typing import NDArray

from ml_worker.recommenders.interactions import Interactions

CLUSTERS = 24
SUCCESSOR_SHARE = 0.3


def draw(*, users: int, items: int, events: int, seed: int = 0) -> Interactions:
    """So many events at most of these users and items, no pair twice, in the order of time."""
    rng = np.random.default_rng(seed)
    lengths = rng.lognormal(0.0, 1.1, users)
    # Repetitions are dropped below, so more are drawn.
    lengths = np.clip(np.round(lengths * 1.7 * events / lengths.sum()), 5, 0.8 * items).astype(np.int64)
    drawn = _walk(rng, lengths, items)
    owner, step = np.repeat(np.arange(users), lengths), np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    _, first = np.unique(owner * items + drawn, return_index=True)
    # Users come one after the other, with overlap; each has a rhythm.
    times = (rng.integers(0, 10**8, users)[owner] + 60 * step * rng.integers(1, 100, users)[owner])[first]
    chosen = first[np.argsort(times, kind="stable")]
    chosen = chosen[np.sort(rng.choice(len(chosen), min(events, len(chosen)), replace=False))]
    return Interactions(
        user_ids=tuple(f"u{user:06}" for user in range(users)),
        item_ids=tuple(f"i{item:06}" for item in range(items)),
        users=owner[chosen].astype(np.int32),
        items=drawn[chosen].astype(np.int32),
        weights=rng.choice(np.array([1, 0.6, 0.2, -0.4], dtype=np.float32), len(chosen), p=[0.35, 0.35, 0.15, 0.15]),
        times=np.arange(len(chosen), dtype=np.int64),
    )


def _walk(rng: np.random.Generator, lengths: NDArray[np.int64], items: int) -> NDArray[np.int64]:
    """One item a step, for all users at once: the successor of the last, or one of a cluster of the user's by popularity."""
    order = np.argsort(-lengths)
    tastes = rng.dirichlet(np.full(CLUSTERS, 0.25), len(lengths)).cumsum(axis=1)
    members = [np.arange(cluster, items, CLUSTERS) for cluster in range(CLUSTERS)]
    shares = [np.cumsum((place + 5.0) ** -0.9) for place in members]
    successor = rng.permutation(items)
    found = np.empty(lengths.sum(), dtype=np.int64)
    starts, last = np.cumsum(lengths) - lengths, np.zeros(len(lengths), dtype=np.int64)
    for step in range(int(lengths.max())):
        active = order[: np.searchsorted(-lengths[order], -step)]
        clusters = (rng.random(len(active))[:, None] > tastes[active]).sum(axis=1).clip(max=CLUSTERS - 1)
        chance, next_items = rng.random(len(active)), np.empty(len(active), dtype=np.int64)
        for cluster in range(CLUSTERS):
            here = clusters == cluster
            next_items[here] = members[cluster][np.searchsorted(shares[cluster], chance[here] * shares[cluster][-1])]
        follows = (rng.random(len(active)) < SUCCESSOR_SHARE) & (step > 0)
        next_items[follows] = successor[last[active[follows]]]
        last[active] = next_items
        found[starts[active] + step] = next_items
    return found
