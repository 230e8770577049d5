"""Telling the API what the visitor just did."""

import streamlit as st

from streamlit_ui.client import ApiProblem
from streamlit_ui.components import notices, wording
from streamlit_ui.state import Action, Visitor


def carry_out(visitor: Visitor) -> Action | None:
    """Record the visit's pending action, if there is one; returns it once the API has it."""
    visit, action = visitor.visit, visitor.visit.pending
    if action is None:
        return None
    visit.pending = None
    words = f"{wording.deed(action.type, action.value)} {action.title}"
    try:
        with st.spinner(f"Noting: {wording.plain(words)} …"):
            visitor.api.record(
                user_id=visitor.user_id,
                item_id=action.item_id,
                kind=action.type,
                value=action.value,
                occurred_at=action.occurred_at,
                list_id=action.entry.list_id if action.entry else None,
            )
    except ApiProblem as problem:
        if problem.is_unreachable:
            visit.pending = action  # told again when the API is back
        if problem.is_sign_in_ended or problem.is_unreachable:
            raise
        notices.trouble(problem)
        return None
    visit.marks[action.item_id].add(action.type, action.value)
    visit.is_list_outdated = True
    # Whoever waves an entry away was not drawn by it. A bad rating is a click, which just led to nothing.
    if action.entry is not None and action.type != "dislike":
        visit.feedback.note_clicked(action.entry, at=action.occurred_at)
    st.toast(wording.plain(words), icon=":material/check_circle:")
    return action


def know_marks(visitor: Visitor) -> None:
    """Learn once a visit what the visitor has done before."""
    if not visitor.visit.has_marks:
        visitor.visit.remember(visitor.api.interactions(visitor.user_id, limit=200).data)
