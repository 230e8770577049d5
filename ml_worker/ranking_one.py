"""The list of one user, or of one session, for one request: narrowed and ordered as that asks."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.list_ids import Origin, new_list_id
from core.lists import ComputedList
from core.messages import RankPayload
from core.narrowing import MAX_COUNT, MAX_OFFSET, Narrowing
from ml_worker import reranking
from ml_worker.explaining import Chosen, explained
from ml_worker.recommenders.base import Ranking
from ml_worker.recommenders.selection import NOT_OFFERED, best_first
from ml_worker.reranking import DIVERSE
from ml_worker.view import Rules, View

_FURTHEST: Final = -(-(MAX_OFFSET + MAX_COUNT) // DIVERSE) * DIVERSE
"""So many best a request may ask for, in whole stretches of a diverse list."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """The answer to a request: entries in order, and what to know of them."""

    list: ComputedList
    hints: tuple[str, ...] = ()


def answered(view: View, payload: RankPayload, rules: Rules, origin: Origin) -> Ranked:
    """The list that a request asks for, of the one user of the view; the rules hold for what the request does not say."""
    wanted, catalogue, histories = payload.narrowing, view.catalogue, view.read.histories
    answer = view.model.recommender.answer(histories)
    is_personal, profile = bool(answer.is_personal[0]), view.profiles(slice(0, 1))[0]
    allowed = catalogue.mask(wanted)
    allowed[[catalogue.columns[item_id] for item_id in payload.item_ids if item_id in catalogue.columns]] = False
    scores = view.padded(answer.scores_of([0]))[0]
    if not is_personal and view.read.preferred[0]:
        scores = reranking.led_by(scores, catalogue.categories @ profile > 0)
    if not wanted.include_seen:
        allowed[histories.matrix.indices] = False
    scores[~allowed] = NOT_OFFERED
    ordered = _ordered(view, wanted, rules, _Offered(allowed, scores, profile))
    shown = ordered.ranking
    (entries,) = explained(view.catalogue, view.is_new, Chosen(answer, shown.items[None, :], shown.scores[None, :], profile[None, :]))
    return Ranked(view.made_list(0, new_list_id(origin), entries, is_cold=not is_personal), ordered.hints)


class _Offered(NamedTuple):
    """What may be in the list [items], as good as the model has it, and the taste of who asks [categories]."""

    allowed: NDArray[np.bool_]
    scores: NDArray[np.float32]
    profile: NDArray[np.float32]

    def new_first(self, view: View, wanted: NDArray[np.bool_]) -> list[int]:
        """Those of the wanted ones that are allowed, best first."""
        return view.new_first(wanted & self.allowed, self.scores, self.profile, _NOTHING_SEEN)


_NOTHING_SEEN: Final = np.empty(0, dtype=np.int32)


class _Ordered(NamedTuple):
    ranking: Ranking
    hints: tuple[str, ...]


def _ordered(view: View, wanted: Narrowing, rules: Rules, offered: _Offered) -> _Ordered:
    """What is asked for, in the order that is asked for."""
    categories, cap, count = view.catalogue.categories, wanted.max_per_category, wanted.offset + wanted.count
    share = rules.new_share if wanted.new_share is None else wanted.new_share
    diversity = rules.diversity if wanted.diversity is None else wanted.diversity
    # A cap may leave out any number of the best, the same for each page.
    reach = count if cap is None else _FURTHEST
    asked = len(offered.scores) if cap is not None else _FURTHEST if diversity else count
    items, scores = best_first(offered.scores[None, :], count=asked)[0]
    if diversity:
        order = reranking.mixed(Ranking(items[:_FURTHEST], scores[:_FURTHEST]), categories, diversity, count=reach).items.tolist()
        order += items[_FURTHEST:].tolist()
    else:
        order = items.tolist()
    if len(order) < count or cap is not None:  # items newer than the model, which it cannot score
        order += offered.new_first(view, np.arange(len(offered.scores)) >= view.catalogue.known)
    fresh = offered.new_first(view, view.is_new) if share else []
    if cap is None:
        order = reranking.with_share(order, fresh, share=share, count=count)
    else:
        order = reranking.capped(order, categories, cap=cap, count=count, new=fresh, share=share)
    hints = _hints(wanted, rules, fresh, order)
    return _Ordered(reranking.reordered(offered.scores, order[wanted.offset :]), hints)


def _hints(wanted: Narrowing, rules: Rules, fresh: list[int], order: list[int]) -> tuple[str, ...]:
    """Why there are fewer new releases than were asked for."""
    if not wanted.new_share:
        return ()
    if not fresh:
        return (f"nothing was released or added in the last {rules.new_days:g} days",)
    found = len(set(fresh).intersection(order))
    if wanted.max_per_category is not None and found < min(len(fresh), int(wanted.new_share * len(order) + 1e-9)):
        return (f"max_per_category leaves room for {found or 'none'} of the new releases",)
    return ()
