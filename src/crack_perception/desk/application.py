# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The HTTP interface of the review page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from crack_perception import __version__
from crack_perception.desk.access import Access, Guard
from crack_perception.desk.documents import Plain, coverage_classes_document, detail_document, severity_document
from crack_perception.desk.history import steps_of, words_of
from crack_perception.desk.map_files import read_photograph
from crack_perception.desk.opened_map import OpenedMap, ReadOnlyMap, RefusedDecision, State
from crack_perception.documents import parse_json
from crack_perception.errors import UserError
from crack_perception.mapping.evidence.decisions import Decision

_MOST_BODY_BYTES = 1_000_000
_MOST_DIGITS = 20
_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_ENCODE = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def desk_application(opened: OpenedMap, access: Access, author: str = "") -> Starlette:
    """The page for one map.

    Args:
        author: Proposed name of the reviewer.
    """
    desk = _Desk(opened, author)
    return Starlette(
        routes=[
            Route("/", desk.page),
            Route("/static/{name}", desk.static),
            Route("/api/map", desk.map),
            Route("/api/cracks/{crack_id}", desk.crack),
            Route("/api/photographs/{name}", desk.photograph),
            Route("/api/orthophotos/{name}", desk.orthophoto),
            Route("/api/decisions", desk.decide, methods=["POST"]),
            Route("/api/undo", desk.undo, methods=["POST"]),
            Route("/api/redo", desk.redo, methods=["POST"]),
        ],
        middleware=[Middleware(Guard, access=access)],
    )


@dataclass(frozen=True)
class _File:
    content: bytes
    media_type: str


class _BadRequest(UserError):
    """The body is not what the page sends."""


class _Desk:
    """The answers to the requests; those that read or write the map run in threads."""

    def __init__(self, opened: OpenedMap, author: str) -> None:
        self._opened = opened
        package = files("crack_perception.desk")
        # Names are looked up among these, so that no path of a request ever becomes a path of the disk.
        self._static = {
            entry.name: _File(entry.read_bytes(), _MEDIA_TYPES[Path(entry.name).suffix])
            for entry in (package / "static").iterdir()
            if Path(entry.name).suffix in _MEDIA_TYPES
        }
        template = (package / "templates" / "desk.html").read_text(encoding="utf-8")
        self._page = (
            Environment(autoescape=True)
            .from_string(template)
            .render(name=opened.path.name, version=__version__, author=author)
        )

    def page(self, request: Request) -> Response:
        return Response(self._page, media_type="text/html")

    def static(self, request: Request) -> Response:
        file = self._static.get(request.path_params["name"])
        if file is None:
            return _problem("There is no such file.", 404)
        return Response(file.content, media_type=file.media_type, headers={"cache-control": "no-cache"})

    def map(self, request: Request) -> Response:
        """Everything, or with ``since`` what has changed since that revision."""
        since, author = request.query_params.get("since", ""), request.query_params.get("author", "")
        return _json(self._map_document(self._opened.state(), since, author))

    def crack(self, request: Request) -> Response:
        """Everything about one crack."""
        state = self._opened.state()
        written = request.path_params["crack_id"]
        # Python refuses to read a number of thousands of digits.
        is_id = written.isdecimal() and len(written) <= _MOST_DIGITS
        reviewed = state.reviewed.get(int(written)) if is_id else None
        if reviewed is None:
            return _problem("This crack is not in the map any more.", 404)
        document = detail_document(reviewed, state.surfaces, self._opened.scale, state.snapshot.decisions)
        return _json({"revision": state.revision, **document})

    def photograph(self, request: Request) -> Response:
        """A JPEG that the map names; nothing else of the disk can be asked for."""
        name = request.path_params["name"]
        if all(each.file != name for each in self._opened.state().snapshot.photographs):
            return _problem("The map has no such photograph.", 404)
        content = read_photograph(self._opened.path, name)
        if content is None:
            return _problem("The file of this photograph is missing or damaged.", 404)
        return Response(content, media_type="image/jpeg", headers={"cache-control": "private, max-age=600"})

    def orthophoto(self, request: Request) -> Response:
        """A picture that the index of the orthophotos names."""
        content = self._opened.state().orthophotos.read(self._opened.path, request.path_params["name"])
        if content is None:
            return _problem("There is no such picture, or its file is missing or damaged.", 404)
        return Response(content, media_type="image/png", headers={"cache-control": "private, max-age=86400"})

    async def decide(self, request: Request) -> Response:
        """Store decisions; the answer comes after they are on the disk."""
        return await self._write(request, self._decide)

    async def undo(self, request: Request) -> Response:
        """Undo the author's newest step."""
        return await self._write(request, lambda body, author: self._opened.undo(author))

    async def redo(self, request: Request) -> Response:
        """Bring back the author's newest step that was undone."""
        return await self._write(request, lambda body, author: self._opened.redo(author))

    def _decide(self, body: Mapping[str, Any], author: str) -> tuple[State, list[Decision]]:
        requests = body.get("decisions")
        if not isinstance(requests, list) or not all(isinstance(each, dict) for each in requests):
            raise _BadRequest("decisions is not a list of objects")
        return self._opened.decide(author, requests)

    async def _write(
        self, request: Request, take: Callable[[Mapping[str, Any], str], tuple[State, list[Decision]]]
    ) -> Response:
        try:
            body = await _body(request)
            author = body.get("author")
            if not isinstance(author, str):
                raise _BadRequest("author is not a text")
            state, stored = await run_in_threadpool(take, body, author)
        except ClientDisconnect:
            return Response(status_code=400)
        except _BadRequest as error:
            return _problem(str(error), 400)
        except RefusedDecision as error:
            return _problem(str(error), 409)
        except ReadOnlyMap as error:
            return _problem(str(error), 423)
        except UserError as error:
            return _problem(str(error), 503)
        answer = await run_in_threadpool(self._map_document, state, str(body.get("since", "")), author)
        answer["stored"] = [
            {"decision": each.id, "crack_id": each.crack_id, "words": words_of(each)} for each in stored
        ]
        return _json(answer)

    def _map_document(self, state: State, since: str, author: str) -> dict[str, Plain]:
        before = self._opened.known(since)
        old_cracks = {} if before is None else before.documents
        document: dict[str, Plain] = {
            "revision": state.revision,
            "whole": before is None,
            "cracks": [each for crack_id, each in state.documents.items() if old_cracks.get(crack_id) is not each],
            "removed": [crack_id for crack_id in old_cracks if crack_id not in state.documents],
            "read_only": self._opened.why_read_only(),
            "problem": self._opened.problem(),
            **self._steps(state, author),
        }
        if before is None or before.facet_documents is not state.facet_documents:
            document["facets"] = state.facet_documents
            document["orthophoto_problem"] = state.orthophotos.problem
        if before is None:
            document["severity"] = severity_document(self._opened.scale)
            document["coverage_classes"] = coverage_classes_document()
            document["edges_mm"] = list(self._opened.scale.edges_mm)
        return document

    @staticmethod
    def _steps(state: State, author: str) -> dict[str, Plain]:
        """Describe the next undo and redo steps; None if there is none."""
        steps = steps_of(state.snapshot.decisions, author)
        by_id = {decision.id: decision for decision in state.snapshot.decisions}
        undone = [int(by_id[each].value["decision"]) for each in steps.redo]
        return {"undo": _step_words(steps.undo, by_id), "redo": _step_words(undone, by_id)}


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object of a request of bounded size.

    Raises:
        _BadRequest: It is something else.
    """
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > _MOST_BODY_BYTES:
            raise _BadRequest(f"the request has more than {_MOST_BODY_BYTES:,} bytes")
    try:
        body = parse_json(bytes(content))
    except ValueError as error:
        raise _BadRequest("the request is not JSON") from error
    if not isinstance(body, dict):
        raise _BadRequest("the request is not a JSON object")
    return body


def _step_words(ids: tuple[int, ...] | list[int], by_id: Mapping[int, Decision]) -> dict[str, Plain] | None:
    if not ids:
        return None
    more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
    return {"crack_id": by_id[ids[0]].crack_id, "words": words_of(by_id[ids[0]]) + more}


def _json(document: Plain) -> Response:
    return Response(_ENCODE(document), media_type="application/json")


def _problem(words: str, status: int) -> Response:
    first, _, _ = words.partition(" ")
    shown = words[:1].upper() + words[1:] if first.isalpha() else words  # else a path, whose letters count
    return Response(_ENCODE({"problem": shown}), status, media_type="application/json")
