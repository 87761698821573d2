# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The server of the review page."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing

import uvicorn

from crack_perception.desk.access import Access
from crack_perception.desk.application import desk_application
from crack_perception.desk.opened_map import OpenedMap
from crack_perception.errors import UserError

_MOST_CONNECTIONS = 200
_PATIENCE_S = 3
_ANY = ("0.0.0.0", "::")


def serve(opened: OpenedMap, host: str, port: int, author: str, announce: Callable[[str], None]) -> None:
    """Serve the page until a signal ends it.

    Args:
        host: Address to listen on; other addresses than loopback are guarded by a token.
        port: 0 to 65535; 0 chooses a free one.
        author: Proposed name of the reviewer.
        announce: Called with the address of the page, token included, once it can be opened.

    Raises:
        UserError: The address cannot be used.
    """
    with closing(_listening_socket(host, port)) as listener:
        port = listener.getsockname()[1]
        access = Access.to(host, port, (socket.gethostname(), socket.getfqdn()))
        config = uvicorn.Config(
            desk_application(opened, access, author),
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            lifespan="off",
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=_PATIENCE_S,
        )
        announce(_address(host, port, access.token))
        uvicorn.Server(config).run(sockets=[listener])


def _listening_socket(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"the page cannot be served at {host}, port {port} ({reason})",
            "Choose another port with --port (0: any free one), or an address of this computer with --host",
        ) from error


def _address(host: str, port: int, token: str | None) -> str:
    name = socket.gethostname() if host in _ANY else host
    shown = f"[{name}]" if ":" in name else name
    return f"http://{shown}:{port}/" + (f"?token={token}" if token else "")
