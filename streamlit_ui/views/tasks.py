"""Tasks: what the visitor asked for, with live progress."""

import html
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import streamlit as st

from streamlit_ui.client import ApiProblem
from streamlit_ui.components import frame, notices, wording
from streamlit_ui.shapes import Task
from streamlit_ui.state import Visitor

LIVE_SECONDS = 1.0
SHOWN = 20
PATIENCE_SECONDS = 10.0
ICONS: Final = {
    "queued": "◷", "running": "▶", "succeeded": "✓", "failed": "!", "cancelled": "✕", "expired": "◷", "dead": "!",
}  # fmt: skip


@notices.guarded
def show(visitor: Visitor) -> None:
    frame.heading("Tasks", "Work you asked for, as it happens.")
    _orders(visitor)
    _list(visitor)


def _orders(visitor: Visitor) -> None:
    with st.container(key="orders", horizontal=True, gap="small"):
        if visitor.user_id:
            _order(visitor, "Compute my list now", "recommend", {"user_id": visitor.user_id}, ":material/bolt:", is_main=True)
        if visitor.is_admin:
            _order(visitor, "Train a model", "train", {}, ":material/model_training:")
            _order(visitor, "Refresh all lists", "refresh_lists", {}, ":material/sync:")


def _order(visitor: Visitor, label: str, kind: str, payload: dict[str, Any], icon: str, *, is_main: bool = False) -> None:
    if not st.button(label, key=f"order-{kind}", icon=icon, type="primary" if is_main else "secondary"):
        return
    try:
        with st.spinner("Handing it in …"):
            visitor.api.submit(kind, payload)
    except ApiProblem as problem:
        if problem.is_sign_in_ended or problem.is_unreachable:
            raise
        notices.trouble(problem)


def _list(visitor: Visitor) -> None:
    """The list looks again every second while something is under way, and rests otherwise."""
    tasks = _own_tasks(visitor)
    is_live = any(task.is_active for task in tasks)

    @st.fragment(run_every=LIVE_SECONDS if is_live else None)
    @notices.guarded
    def follow() -> None:
        shown = tasks if st.session_state.pop("tasks-fresh", False) else _own_tasks(visitor)
        if not shown:
            notices.empty("Nothing under way", "Ask for your list above and watch it being computed here.")
            return
        with st.container(key="tasks", gap="small"):
            newest_list = next((task.id for task in shown if task.kind == "recommend" and task.state == "succeeded"), None)
            for task in shown:
                _row(visitor, task, leads_to_list=task.id == newest_list)
        if is_live != any(task.is_active for task in shown):
            st.rerun()

    st.session_state["tasks-fresh"] = True
    follow()


def _own_tasks(visitor: Visitor) -> list[Task]:
    # The API shows a user's account its own tasks only; the other roles see all and ask for theirs.
    owner = None if visitor.account.role == "user" else visitor.account.id
    return visitor.api.tasks(owner=owner, limit=SHOWN)


def _row(visitor: Visitor, task: Task, *, leads_to_list: bool) -> None:
    with st.container(key=f"task-{task.id}", gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"task-head-{task.id}"):
            st.html(_head(task), width="content")
            if task.is_active:
                st.button(
                    "Stopping …" if task.cancel_requested else "Cancel",
                    key=f"cancel-{task.id}",
                    icon=":material/close:",
                    type="tertiary",
                    disabled=task.cancel_requested,
                    on_click=_change,
                    args=(visitor.api.cancel, task.id),
                )
            if task.is_requeueable and visitor.is_admin:
                st.button(
                    "Try again",
                    key=f"requeue-{task.id}",
                    icon=":material/replay:",
                    type="tertiary",
                    on_click=_change,
                    args=(visitor.api.requeue, task.id),
                )
        if task.state == "running":
            st.progress(min(max(task.progress, 0.0), 1.0), text=wording.plain(task.progress_note or "Working …"))
        if task.state == "queued" and (datetime.now(UTC) - task.created_at).total_seconds() > PATIENCE_SECONDS:
            st.html('<p class="mq-small">No worker has taken it yet; it starts as soon as one is free.</p>')
        told = wording.task_trouble(task)
        if told:
            st.html(f'<p class="mq-task-trouble">{html.escape(told)}</p>')
        if leads_to_list and "discover" in visitor.pages:
            st.page_link(visitor.pages["discover"], label="See your list", icon=":material/movie:")


def _head(task: Task) -> str:
    name = wording.TASK_NAMES.get(task.kind, task.kind)
    return (
        f'<div class="mq-task"><span class="mq-chip mq-{task.state}"><span aria-hidden="true">{ICONS[task.state]}</span>'
        f"{wording.STATE_NAMES[task.state]}</span><b>{html.escape(name)}</b><span class='mq-small'>{html.escape(_times(task))}</span></div>"
    )


def _times(task: Task) -> str:
    begun = wording.ago(task.created_at)
    attempts = f" · attempt {task.attempt} of {task.max_attempts}" if task.attempt > 1 else ""
    if task.started_at and task.finished_at:
        return f"{begun} · took {wording.lasted((task.finished_at - task.started_at).total_seconds())}{attempts}"
    if task.started_at and task.state == "running":
        return f"{begun} · for {wording.lasted((datetime.now(UTC) - task.started_at).total_seconds())}{attempts}"
    return f"{begun}{attempts}"


def _change(change: Callable[[str], Task], task_id: str) -> None:
    try:
        change(task_id)
    except ApiProblem as problem:
        st.toast(wording.plain(wording.trouble(problem)), icon=":material/error:")
