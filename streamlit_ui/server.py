"""The interface as a web application: Streamlit's pages, the session route, and the headers that keep both safe."""

import logging
import secrets
import uuid
from pathlib import Path
from typing import Any, Final

import streamlit as st
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config
from streamlit.starlette import App

from streamlit_ui.sessions import SESSION_DAYS
from streamlit_ui.settings import UiSettings
from streamlit_ui.state import BROWSER_COOKIE, SESSION_COOKIE, Site

PAGE: Final = Path(__file__).with_name("page.py")
BROWSER_DAYS: Final = 365
_LOG = logging.getLogger(__name__)

OPTIONS: Final[dict[str, Any]] = {
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",
    "client.showErrorLinks": False,
    "client.toolbarMode": "minimal",
    "client.showSidebarNavigation": False,
    "global.developmentMode": False,
    "logger.hideWelcomeMessage": True,
    "logger.level": "warning",
    "runner.magicEnabled": False,
    "server.enableAgentApi": False,
    "server.enableStaticServing": False,
    "server.fileWatcherType": "none",
    "server.headless": True,
    "server.maxUploadSize": 1,
    "theme.base": "dark",
    "theme.primaryColor": "#f4b942",
    "theme.backgroundColor": "#120d14",
    "theme.secondaryBackgroundColor": "#1e1722",
    "theme.textColor": "#f6efe3",
    "theme.linkColor": "#f4c667",
    "theme.borderColor": "#3a2f3d",
    "theme.baseRadius": "0.6rem",
    "theme.font": "sans-serif",
    "theme.headingFont": "serif",
}

# Everything comes from here; only pictures that the catalogue names may come from elsewhere.
CONTENT_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob: https: http:; font-src 'self' data:; connect-src 'self' ws: wss:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)


def application(site: Site) -> App:
    """The ASGI application of one site."""

    async def session(request: Request) -> Response:
        return _exchange(request, site)

    return App(
        PAGE,
        routes=[Route("/session", session)],
        middleware=[Middleware(_Headers)],
        on_script_error=_tell,
    )


def configure(settings: UiSettings) -> None:
    """Set Streamlit's options, over whatever a configuration file of the machine says."""
    for name, value in {**OPTIONS, "server.address": settings.ui_host, "server.port": settings.ui_port}.items():
        config.set_option(name, value)


def _exchange(request: Request, site: Site) -> Response:
    """A ticket becomes the sign-in cookie, or takes it away; either way the browser ends on a page."""
    ticket = site.tickets.redeem(request.query_params.get("ticket", ""), browser=request.cookies.get(BROWSER_COOKIE, ""))
    response = RedirectResponse(f"./{ticket.page}" if ticket else "./", status_code=303, headers={"Cache-Control": "no-store"})
    if ticket is None:
        return response
    is_secure = _is_secure(request.scope)
    if ticket.session_id is None:
        response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="lax", secure=is_secure)
    else:
        response.set_cookie(
            SESSION_COOKIE, ticket.session_id, max_age=SESSION_DAYS * 86400, httponly=True, samesite="lax", secure=is_secure
        )
    return response


def _is_secure(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    return bool(scope["scheme"] == "https") or headers.get(b"x-forwarded-proto", b"").split(b",")[0].strip() == b"https"


class _Headers:
    """Puts the protective headers on every answer and tells new browsers apart by a cookie of their own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = CONTENT_POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
                if headers.get("content-type", "").startswith("text/html") and not _has_browser_cookie(scope):
                    headers.append("Set-Cookie", _browser_cookie(is_secure=_is_secure(scope)))
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _has_browser_cookie(scope: Scope) -> bool:
    return BROWSER_COOKIE in Request(scope).cookies


def _browser_cookie(*, is_secure: bool) -> str:
    value, seconds = secrets.token_urlsafe(24), BROWSER_DAYS * 86400
    return f"{BROWSER_COOKIE}={value}; HttpOnly; Max-Age={seconds}; Path=/; SameSite=lax{'; Secure' if is_secure else ''}"


def _tell(error: Exception) -> bool:
    """What a visitor sees of a mistake of ours; Streamlit has logged all of it just before."""
    reference = uuid.uuid4().hex
    _LOG.error("a page failed: %s; its visitor was given the reference %s", type(error).__name__, reference)
    st.html(
        '<div class="mq-trouble" role="alert"><b>Something went wrong on this page. Reload it, and tell us if it happens again.</b>'
        f'<span class="mq-reference">reference {reference}</span></div>'
    )
    return True
