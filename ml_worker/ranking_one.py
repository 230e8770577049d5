"""The list of one user, or of one session, for one request: narrowed and ordered as that asks."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from core.list_ids import Origin
from core.lists import ComputedList
from core.messages import RankPayload
from ml_worker import reranking
from ml_worker.explaining import Chosen, explained
from ml_worker.recommenders.base import Ranking
from ml_worker.recommenders.selection import NOT_OFFERED, best_first
from ml_worker.view import Rules, View

POOL: Final = 4
"""Diversity and caps choose among so many times more than are asked for."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """The answer to a request: entries in order, and what to know of them."""

    list: ComputedList
    hints: tuple[str, ...] = ()


def answered(view: View, payload: RankPayload, rules: Rules) -> Ranked:
    """The list that a request asks for, of the one user of the view."""
    wanted, catalogue, histories = payload.narrowing, view.catalogue, view.read.histories
    answer = view.model.recommender.answer(histories)
    is_personal, profile = bool(answer.is_personal[0]), view.profiles(slice(0, 1))[0]
    allowed = catalogue.mask(wanted)
    allowed[[catalogue.columns[item_id] for item_id in payload.item_ids if item_id in catalogue.columns]] = False
    scores = view.padded(answer.scores_of([0]))
    if not is_personal and view.read.preferred[0]:
        scores[0] = reranking.led_by(scores[0], catalogue.categories @ profile > 0)
    seen = np.empty(0, dtype=np.int32) if wanted.include_seen else histories.matrix.indices
    scores[0, ~allowed] = NOT_OFFERED
    scores[0, seen] = NOT_OFFERED
    count = wanted.offset + wanted.count
    is_chosen = wanted.diversity is not None or wanted.max_per_category is not None
    ranking = Ranking(*best_first(scores, count=count * POOL if is_chosen else count)[0])
    order = ranking.items.tolist()
    if wanted.diversity:
        chosen = reranking.diverse(ranking.items, ranking.scores, catalogue.categories, diversity=wanted.diversity, count=len(order))
        order = [order[place] for place in chosen]
    if len(order) < count:  # items newer than the model, which it cannot score
        order += view.new_first(allowed & (np.arange(len(allowed)) >= catalogue.known), scores[0], profile, seen)
    if wanted.max_per_category is not None:
        order = reranking.capped(order, catalogue.categories, cap=wanted.max_per_category, count=count)
    share = rules.new_share if wanted.new_share is None else wanted.new_share
    fresh = view.new_first(view.is_new & allowed, scores[0], profile, seen) if share and wanted.max_per_category is None else []
    order = reranking.with_share(order, fresh, share=share, count=count)[wanted.offset :]
    hints = (f"nothing was released or added in the last {rules.new_days:g} days",) if wanted.new_share and not fresh else ()
    shown = reranking.reordered(ranking, scores[0], order)
    (entries,) = explained(view.catalogue, view.is_new, Chosen(answer, shown.items[None, :], shown.scores[None, :], profile[None, :]))
    origin = Origin(payload.surface, view.model.version_id)
    return Ranked(view.made_list(0, origin, entries, is_cold=not is_personal), hints)
