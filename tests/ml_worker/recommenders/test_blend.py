"""What a blend does beside its parts."""

import numpy as np

from ml_worker.recommenders.blend import Blend, Part


def test_a_part_past_the_limits_of_partial_training_is_trained_anew_with_the_others_updated(drawn):
    limited = Part(algorithm="ease", config={"updatable_items": 10}, weight=0.7)
    model = Blend(Blend.Config(parts=(limited, Part(algorithm="popular", config={}, weight=0.3))))
    since = len(drawn) - 50
    model.fit(drawn.part(np.arange(since)))
    before = model.scores(drawn.histories())
    model.update(drawn, since=since)
    whole = Blend(model.config)
    whole.fit(drawn)
    assert not np.array_equal(model.scores(drawn.histories()), before)
    assert np.allclose(model.scores(drawn.histories()), whole.scores(drawn.histories()), atol=1e-5)
