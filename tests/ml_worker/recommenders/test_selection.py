"""The best of many scores, against sorting everything."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ml_worker.recommenders.selection import NOT_OFFERED, best_first

# Few different values, so that ties at the border are the rule.
VALUES = st.sampled_from([0, -0.0, 1, 2, 1e-42, -1e-42, -1, 3e38, -3e38, NOT_OFFERED])
SCORES = arrays(np.float32, st.tuples(st.integers(0, 4), st.integers(0, 12)), elements=VALUES)


@given(SCORES, st.integers(1, 15))
def test_it_is_what_sorting_everything_gives(scores, count):
    found = best_first(scores, count=count)
    assert len(found) == len(scores)
    for row, (items, values) in zip(scores, found, strict=True):
        expected = [item for item in np.lexsort((np.arange(len(row)), -row)) if row[item] > NOT_OFFERED][:count]
        assert items.tolist() == expected
        assert values.tolist() == row[expected].tolist()
