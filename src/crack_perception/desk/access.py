# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Access control of the page: checks of host, origin and token before every answer, and its security headers."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
_SAFE_METHODS = ("GET", "HEAD")
_NO_TOKEN = (
    "This page needs its token. Open the address that crack_perception desk printed when it was started, with "
    "?token=... at its end."
)


def new_token() -> str:
    """256 random bits for an address."""
    return secrets.token_urlsafe(32)


def is_loopback(host: str) -> bool:
    """Return True if a server that is bound to this address can be reached from this computer only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Access:
    """Rules for one server.

    Attributes:
        names: Host names under which it may be called; a page of another name that resolves to this computer (DNS
            rebinding) is refused.
        any_address: Whether it may also be called by any IP address.
        token: Secret that every request needs; None for loopback.
        cookie: Name of the cookie that holds it.
    """

    names: frozenset[str] = LOOPBACK_NAMES
    any_address: bool = False
    token: str | None = None
    cookie: str = "crack_desk"

    @staticmethod
    def to(host: str, port: int, own_names: Iterable[str] = ()) -> Access:
        """Rules for a server at this address; other addresses than loopback get a token.

        Args:
            own_names: Names of this computer.
        """
        if is_loopback(host):
            return Access(LOOPBACK_NAMES | {host}, cookie=f"crack_desk_{port}")
        names = LOOPBACK_NAMES | {host.lower(), *(name.lower() for name in own_names)}
        return Access(names, True, new_token(), f"crack_desk_{port}")

    def allows_host(self, header: str) -> bool:
        """Return True if a Host header names this server."""
        try:
            name = urlsplit(f"//{header}").hostname or ""
        except ValueError:
            return False
        if name.rstrip(".") in self.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self.any_address or address.is_loopback

    def allows_token(self, offered: str | None) -> bool:
        """Compare with the token in constant time."""
        if self.token is None:
            return True
        return offered is not None and hmac.compare_digest(offered.encode(), self.token.encode())

    def offered(self, headers: Headers) -> str | None:
        """The token in the cookie or the header ``Authorization: Bearer``."""
        scheme, _, value = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return value.strip()
        # Other programs on this computer may have set cookies of any form.
        for pair in headers.get("cookie", "").split(";"):
            name, _, value = pair.strip().partition("=")
            if name == self.cookie:
                return value
        return None


def _netloc(address: str) -> str:
    """Return host and port of an address in small letters; empty where it is none."""
    try:
        return urlsplit(address).netloc.lower()
    except ValueError:
        return ""


class Guard:
    """ASGI middleware that enforces ``Access``.

    The page may be opened with ``?token=...``; the answer sets a cookie and leads to the address without the token, so
    that it stays in no history and no bookmark.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on and add the headers to its answer."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._access.allows_host(host):
            return PlainTextResponse("This server is not called by that name.", 421)
        is_page = scope["path"] == "/" and scope["method"] in _SAFE_METHODS
        site = headers.get("sec-fetch-site", "same-origin")
        if not is_page and site not in ("same-origin", "none"):
            return PlainTextResponse("Requests of other pages are refused.", 403)
        if scope["method"] not in _SAFE_METHODS:
            origin = headers.get("origin")
            if origin is not None and _netloc(origin) != host.lower():
                return PlainTextResponse("Decisions of other pages are refused.", 403)
            if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
                return PlainTextResponse("Decisions are JSON.", 415)
        if is_page and self._access.token is not None:
            brought = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
            if brought and self._access.allows_token(brought):
                answer = RedirectResponse("/", 303)
                answer.set_cookie(self._access.cookie, brought, httponly=True, samesite="strict", path="/")
                return answer
        if not self._access.allows_token(self._access.offered(headers)):
            return PlainTextResponse(_NO_TOKEN, 401)
        return None
