"""The stored lists of many users at once: ranked, mixed by the rules and explained, in tiles that fit into memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.list_ids import Origin, new_list_ids
from core.lists import ComputedList
from ml_worker import reranking
from ml_worker.explaining import Chosen, explained
from ml_worker.recommenders.answers import Answer
from ml_worker.recommenders.base import Ranking
from ml_worker.recommenders.batches import TILE_SCORES, even_step
from ml_worker.recommenders.selection import NOT_OFFERED, Best, best_of, leave_out
from ml_worker.view import Rules, View

USERS_PER_BATCH: Final = 256


@dataclass(frozen=True, slots=True)
class Look:
    """Users whose histories were read, how their lists are to be made, and what these shall say of where they came from."""

    view: View
    rules: Rules
    origin: Origin


def ranked(looks: Sequence[Look]) -> dict[str, ComputedList]:
    """The lists of everybody looked at, by user id."""
    return {made.user_id: made for look in looks for made in _lists(look)}


def _lists(look: Look) -> Iterator[ComputedList]:
    view = look.view
    count, items = len(view.read.user_ids), len(view.catalogue.item_ids)
    step = even_step(count, at_most=min(USERS_PER_BATCH, TILE_SCORES // max(1, items)))
    for start in range(0, count, step):
        tile = _Tile.of(look, slice(start, min(start + step, count)))
        is_cold = ~tile.answer.is_personal
        of_users = explained(view.catalogue, view.is_new, tile.chosen())
        list_ids = new_list_ids(look.origin, len(of_users))
        for row, (list_id, entries, cold) in enumerate(zip(list_ids, of_users, is_cold.tolist(), strict=True), start):
            yield view.made_list(row, list_id, entries, is_cold=cold)


@dataclass(frozen=True, slots=True, eq=False)
class _Tile:
    """Some users of a look, side by side."""

    look: Look
    answer: Answer
    profiles: NDArray[np.float32]  # [users × categories]
    choosers: NDArray[np.intp]  # users without a personal answer who chose categories: what is of these leads their lists

    @classmethod
    def of(cls, look: Look, rows: slice) -> "_Tile":
        read = look.view.read
        is_all = rows.stop - rows.start == len(read.user_ids)
        histories = read.histories if is_all else read.histories.take(np.arange(rows.start, rows.stop))
        answer = look.view.model.recommender.answer(histories)
        has_chosen = np.array([bool(chosen) for chosen in read.preferred[rows]], dtype=np.bool_)
        return cls(look, answer, look.view.profiles(rows), np.flatnonzero(~answer.is_personal & has_chosen))

    def chosen(self) -> Chosen:
        """The best of the whole catalogue for each user, mixed by the rules."""
        catalogue, length = self.look.view.catalogue, self.look.rules.length
        best = self.answer.best(count=length, exclude=~catalogue.is_offered[: catalogue.known])
        best = best.widened(min(length, len(catalogue.item_ids)))
        for row in self.choosers.tolist():
            best.put([row], best_of(self._led(row)[None, :], count=length))
        unsettled = self._unsettled(best)
        for row, scores in zip(unsettled.tolist(), self._mixable(unsettled, best), strict=True):
            kept = int(best.lengths[row])
            ranking = self._mixed(Ranking(best.items[row, :kept], best.scores[row, :kept]), row, scores)
            best.items[row, : len(ranking.items)], best.scores[row, : len(ranking.items)] = ranking
        return Chosen(self.answer, best.items, best.scores, self.profiles)

    def _led(self, row: int) -> NDArray[np.float32]:
        """What a user is offered who chose categories [items of the catalogue]."""
        view = self.look.view
        scores = view.padded(self.answer.scores_of([row]))[0]
        scores = reranking.led_by(scores, view.catalogue.categories @ self.profiles[row] > 0)
        leave_out(scores[None, :], self.answer.histories.matrix[[row]], ~view.catalogue.is_offered)
        return scores

    def _mixable(self, rows: NDArray[np.intp], best: Best) -> Iterator[NDArray[np.float32]]:
        """For each user what may get into the list by the rules: the ranking and what is new; all else is not offered."""
        if not len(rows):
            return
        view, matrix = self.look.view, self.answer.histories.matrix
        fresh = np.flatnonzero(view.is_new[: view.catalogue.known])
        of_fresh = self.answer.scores_of(rows, fresh) if self.look.rules.new_share else np.empty((len(rows), 0), dtype=np.float32)
        fresh = fresh[: of_fresh.shape[1]]
        for row, of_user in zip(rows.tolist(), of_fresh, strict=True):
            if row in self.choosers:
                yield self._led(row)
                continue
            scores = np.full(len(view.catalogue.item_ids), NOT_OFFERED)
            scores[fresh] = of_user
            scores[matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]] = NOT_OFFERED
            kept = int(best.lengths[row])
            scores[best.items[row, :kept]] = best.scores[row, :kept]
            yield scores

    def _unsettled(self, best: Best) -> NDArray[np.intp]:
        """The users whose order is not simply that of the scores."""
        rules, is_new = self.look.rules, self.look.view.is_new
        if rules.diversity:
            return np.arange(len(best.items))
        if not (rules.new_share and is_new.any()):
            return np.empty(0, dtype=np.intp)
        keeps = reranking.keeps_share(is_new[best.items] & (best.items >= 0), share=rules.new_share, count=rules.length)
        return np.flatnonzero(~keeps | (best.lengths < rules.length))

    def _mixed(self, ranking: Ranking, row: int, scores: NDArray[np.float32]) -> Ranking:
        """One ranking with its diversity and its share of new items, as long as before or, by new ones, longer."""
        view, rules = self.look.view, self.look.rules
        if rules.diversity:
            ranking = reranking.mixed(ranking, view.catalogue.categories, rules.diversity, count=len(ranking.items))
        if not (rules.new_share and view.is_new.any()):
            return ranking
        if rules.diversity and reranking.keeps_share(view.is_new[ranking.items], share=rules.new_share, count=rules.length):
            return ranking
        matrix = self.answer.histories.matrix
        seen = matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]
        fresh = view.new_first(view.is_new, scores, self.profiles[row], seen)
        order = reranking.with_share(ranking.items.tolist(), fresh, share=rules.new_share, count=rules.length)
        return reranking.reordered(scores, order)
