"""Telling the API which entries of lists were shown and clicked."""

import logging

from streamlit_ui.client import ApiProblem
from streamlit_ui.state import Visitor

_LOG = logging.getLogger(__name__)


def tell(visitor: Visitor) -> None:
    """Tell what is yet untold, at the end of a page; nothing comes of a failure but that it is told the next time."""
    feedback = visitor.visit.feedback
    try:
        # Impressions first: of an entry not told before, the time of the click would stand for when it was shown.
        if feedback.impressions:
            visitor.api.tell("impressions", feedback.impressions, user_id=visitor.user_id)
            feedback.impressions.clear()
        if feedback.clicks:
            visitor.api.tell("clicks", feedback.clicks, user_id=visitor.user_id)
            feedback.clicks.clear()
    except ApiProblem as problem:
        _LOG.warning("what was shown is not told yet: %s (correlation id %s)", problem, problem.correlation_id)
