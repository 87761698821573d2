# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The HTTP interface of the review page: what it answers, and what it refuses."""

from __future__ import annotations

import json
import os
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from map_cracks import photograph_of_crack, random_crack
from review_maps import level_crack, photograph_bytes, photograph_facing, wall_map, write_map, write_orthophoto

from crack_perception.mapping.evidence.decisions import Action, Decision
from crack_perception.mapping.evidence.photograph import PhotographedLine, photograph_folder
from crack_perception.mapping.storage.database import MapStore
from crack_perception.mapping.storage.snapshot import read_snapshot
from crack_perception.recognition.severity import SeverityScale
from crack_perception.report.orthophoto.index import TILES

pytest.importorskip("starlette", reason="the extra desk is not installed")
pytest.importorskip("httpx", reason="the extra test is not installed")

from starlette.testclient import TestClient

from crack_perception.desk.access import Access
from crack_perception.desk.application import desk_application
from crack_perception.desk.opened_map import OpenedMap

HOST = "127.0.0.1:8765"
SCALE = SeverityScale.of_preset("gb50204")


def client_of(path: Path, access: Access | None = None, author: str = "") -> TestClient:
    application = desk_application(OpenedMap(path, SCALE), access or Access.to("127.0.0.1", 8765), author)
    return TestClient(application, base_url=f"http://{HOST}", follow_redirects=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return wall_map(tmp_path / "maps")


@pytest.fixture
def client(path: Path) -> TestClient:
    return client_of(path)


def accept(client: TestClient, **changes: Any) -> Any:
    body = {"author": "Ana", "decisions": [{"crack_id": 1, "action": "accept"}]}
    return client.post("/api/decisions", json=body, **changes)


def test_page_has_all_its_files_and_a_strict_policy(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200 and page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert page.headers["x-content-type-options"] == "nosniff" and page.headers["referrer-policy"] == "no-referrer"
    wanted = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
    assert {"/static/app.js", "/static/desk.css"} <= set(wanted)
    seen: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        answer = client.get(name)
        assert answer.status_code == 200, name
        assert answer.headers["content-type"].startswith(("text/javascript", "text/css", "image/svg+xml"))
        wanted += [f"/static/{other}" for other in re.findall(r'from "\./([\w.]+)"', answer.text)]
    assert len(seen) > 8


def test_page_loads_nothing_from_elsewhere(client: TestClient) -> None:
    folder = Path(desk_application.__code__.co_filename).parent
    texts = [client.get("/").text, *(file.read_text() for file in (folder / "static").iterdir())]
    addresses = {address for text in texts for address in re.findall(r"(?:https?:|wss?:)?//[\w.-]+\.\w+", text)}
    assert addresses <= {"http://www.w3.org"}, "the name of SVG, which nothing loads"
    assert not any("innerHTML" in text or "eval(" in text for text in texts)


def test_page_escapes_the_names_of_map_and_author(tmp_path: Path) -> None:
    path = write_map(tmp_path / '<img src=x onerror="a()">.sqlite', [level_crack(1, 0, 1, 1)])
    text = client_of(path, author='"><script>b()</script>').get("/").text
    assert "<img" not in text and "<script>b" not in text
    assert "&lt;img src=x onerror=&#34;a()&#34;&gt;" in text


def test_map_document_holds_every_crack_once_and_then_only_changes(client: TestClient) -> None:
    whole = client.get("/api/map").json()
    assert whole["whole"] and [crack["id"] for crack in whole["cracks"]] == [1, 2, 3, 4, 5]
    assert [each["name"] for each in whole["severity"]] == ["minor", "obvious", "undetermined"]
    assert whole["severity"][1]["colour"] == "#d55e00" and len(whole["facets"]) == 2
    assert whole["undo"] is None and whole["read_only"] == ""
    same = client.get("/api/map", params={"since": whole["revision"]}).json()
    assert not same["whole"] and same["cracks"] == [] and "facets" not in same
    answer = accept(client).json()
    assert answer["stored"] == [{"decision": 1, "crack_id": 1, "words": "accepted crack 1"}]
    changed = client.get("/api/map", params={"since": whole["revision"], "author": "Ana"}).json()
    assert [(crack["id"], crack["verdict"]) for crack in changed["cracks"]] == [(1, "accepted")]
    assert changed["undo"] == {"crack_id": 1, "words": "accepted crack 1"}
    assert client.get("/api/map", params={"since": "of another server"}).json()["whole"]


def test_answers_of_decisions_bring_the_changes_since_the_page_was_read(client: TestClient) -> None:
    revision = client.get("/api/map").json()["revision"]
    body = {"author": "Ana", "since": revision, "decisions": [{"crack_id": 2, "action": "merge", "into": 1}]}
    answer = client.post("/api/decisions", json=body).json()
    assert answer["removed"] == [2] and [crack["id"] for crack in answer["cracks"]] == [1]
    undone = client.post("/api/undo", json={"author": "Ana", "since": answer["revision"]}).json()
    assert sorted(crack["id"] for crack in undone["cracks"]) == [1, 2] and undone["redo"]["crack_id"] == 2
    redone = client.post("/api/redo", json={"author": "Ana", "since": undone["revision"]}).json()
    assert redone["removed"] == [2]


def test_crack_document_has_widths_photographs_and_history(client: TestClient) -> None:
    accept(client)
    crack = client.get("/api/cracks/1").json()
    assert len(crack["along_m"]) == len(crack["widths_mm"]) == len(crack["whole_line"]) == 21
    assert crack["along_m"][-1] == pytest.approx(1.0) and crack["widths_mm"][0] == pytest.approx(0.27)
    photograph = crack["photograph_list"][0]
    assert photograph["size_px"] == [640, 480] and photograph["gsd_mm_per_px"] == 1.0
    line = photograph["lines"][0]
    assert len(line["points_px"]) == len(line["widths_mm"]) > 5
    assert [entry["words"] for entry in crack["history"]] == ["accepted crack 1"]
    unknown = client.get("/api/cracks/5").json()
    assert unknown["widths_mm"] == [None] * 3 and unknown["photograph_list"] == []
    assert client.get("/api/cracks/99").status_code == 404
    assert client.get("/api/cracks/one").status_code == 404


def test_photograph_is_the_file_that_the_map_names(client: TestClient, path: Path) -> None:
    name = client.get("/api/cracks/1").json()["photograph_list"][0]["file"]
    answer = client.get(f"/api/photographs/{name}")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content == (photograph_folder(path) / name).read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        "wall.sqlite",
        "..%2Fwall.sqlite",
        "%2e%2e/wall.sqlite",
        "..%2f..%2fsecret.jpg",
        "secret.jpg",
        "%2Fetc%2Fpasswd",
        "",
    ],
)
@pytest.mark.parametrize("where", ["/api/photographs/", "/static/", "/"])
def test_no_other_file_can_be_reached(client: TestClient, path: Path, where: str, name: str) -> None:
    (path.parent.parent / "secret.jpg").write_bytes(b"\xff\xd8secret")
    (photograph_folder(path) / "secret.jpg").write_bytes(b"\xff\xd8secret")
    if where + name == "/":
        return
    answer = client.get(where + name)
    assert answer.status_code in (404, 405) and b"secret" not in answer.content and b"SQLite" not in answer.content


@pytest.mark.parametrize("kind", ["link", "folder", "fifo", "no jpeg", "missing", "folder is a link"])
def test_photograph_whose_file_is_something_else_is_not_sent(tmp_path: Path, kind: str) -> None:
    crack = level_crack(1, 0, 1, 1)
    photograph = photograph_facing(crack)
    path = write_map(tmp_path / "maps" / "wall.sqlite", [crack], [photograph])
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(photograph_bytes(photograph))
    folder = photograph_folder(path)
    file = folder / photograph.file
    file.unlink()
    if kind == "link":
        file.symlink_to(secret)
    elif kind == "folder":
        file.mkdir()
    elif kind == "fifo":
        os.mkfifo(file)
    elif kind == "no jpeg":
        file.write_bytes(b"<html><script>a()</script>")
    elif kind == "folder is a link":
        secret.rename(tmp_path / photograph.file)
        folder.rmdir()
        folder.symlink_to(tmp_path)
    answer = client_of(path).get(f"/api/photographs/{photograph.file}")
    assert answer.status_code == 404 and answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("kind", ["link", "no png", "missing", "tiles are a link", "not in the index"])
def test_orthophoto_sends_what_its_index_names_and_nothing_else(tmp_path: Path, kind: str) -> None:
    (tmp_path / "maps").mkdir()
    path = wall_map(tmp_path / "maps")
    tiles = write_orthophoto(path).parent / TILES
    file = tiles / "A_r001_c002.png"
    client = client_of(path)
    (facet, *_) = client.get("/api/map").json()["facets"]
    (orthophoto,) = facet["orthophotos"]
    (address,) = [tile[2] for tile in orthophoto["tiles"] if file.name in tile[2]]
    answer = client.get(address)
    assert answer.content == file.read_bytes() and answer.headers["content-type"] == "image/png"
    secret = tmp_path / file.name
    secret.write_bytes(file.read_bytes() + b"secret")
    if kind == "not in the index":
        (tiles / "other.png").write_bytes(secret.read_bytes())
        address = "/api/orthophotos/other.png"
    elif kind == "tiles are a link":
        for each in tiles.iterdir():
            each.unlink()
        tiles.rmdir()
        tiles.symlink_to(tmp_path)
    else:
        file.unlink()
        if kind == "link":
            file.symlink_to(secret)
        elif kind == "no png":
            file.write_bytes(b"<html><script>a()</script>")
    answer = client.get(address)
    assert answer.status_code == 404 and b"secret" not in answer.content


def test_orthophoto_index_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    path = wall_map(tmp_path)
    index = write_orthophoto(path)
    index.write_text(index.read_text().replace(f"{TILES}/A_r000_c000.png", "../wall.sqlite"))
    document = client_of(path).get("/api/map").json()
    assert "lies elsewhere" in document["orthophoto_problem"]
    assert all(facet["orthophotos"] == [] for facet in document["facets"])


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8765", 200),
        ("localhost:9000", 200),
        ("[::1]:8765", 200),
        ("evil.example", 421),
        ("evil.example:8765", 421),
        ("127.0.0.1.evil.example", 421),
        ("192.168.1.5:8765", 421),
        ("[::1", 421),
        ("", 421),
    ],
)
def test_host_header_of_another_name_is_refused(client: TestClient, host: str, status: int) -> None:
    """A page whose name an attacker lets point at this computer (DNS rebinding) reads nothing."""
    assert client.get("/api/map", headers={"host": host}).status_code == status
    assert client.get("/", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": f"http://{HOST}"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_decisions_of_other_pages_are_refused(
    client: TestClient, path: Path, headers: dict[str, str], status: int
) -> None:
    content = json.dumps({"author": "Ana", "decisions": [{"crack_id": 1, "action": "accept"}]})
    headers = {"content-type": "application/json"} | headers
    assert client.post("/api/decisions", content=content, headers=headers).status_code == status
    assert len(read_snapshot(path).decisions) == (status == 200)


def test_map_is_not_read_by_other_pages(client: TestClient) -> None:
    assert client.get("/api/map", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert client.get("/", headers={"sec-fetch-site": "cross-site"}).status_code == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_decisions_come_by_post_only(client: TestClient, method: str) -> None:
    assert client.request(method, "/api/decisions", json={}).status_code == 405


def test_page_beyond_loopback_needs_its_token(path: Path) -> None:
    access = Access.to("0.0.0.0", 8765, ["Station.local"])
    token = access.token
    assert token and len(token) >= 40 and token != Access.to("0.0.0.0", 8765).token
    client = client_of(path, access)
    host = {"host": "192.168.1.5:8765"}
    for address in (
        "/",
        "/api/map",
        "/static/app.js",
        "/api/photographs/x.jpg",
        "/?token=wrong",
        "/?token=",
        "/?xtoken=1",
    ):
        answer = client.get(address, headers=host)
        assert answer.status_code == 401 and "token" in answer.text, address
    assert accept(client, headers=host).status_code == 401
    assert client.get(f"/api/map?token={token}", headers=host).status_code == 401, "only the page itself takes it"
    for offered in (f"Bearer {token}", f"bearer {token} "):
        assert client.get("/api/map", headers=host | {"authorization": offered}).status_code == 200
    for offered in (f"Bearer {token}x", f"Bearer {token[:-1]}", "Bearer ", token, "Bearer \xff".encode("latin-1")):
        assert client.get("/api/map", headers=host | {"authorization": offered}).status_code == 401
    assert (
        client.get("/api/map", headers={"host": "evil.example", "authorization": f"Bearer {token}"}).status_code == 421
    )
    assert (
        client.get("/", headers={"host": "station.local:8765", "authorization": f"Bearer {token}"}).status_code == 200
    )


def test_token_in_the_address_becomes_a_cookie_that_scripts_cannot_read(path: Path) -> None:
    access = Access.to("192.168.1.5", 8765)
    client = client_of(path, access)
    host = {"host": "192.168.1.5:8765"}
    answer = client.get(f"/?token={access.token}", headers=host)
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "samesite=strict" in cookie.lower()
    pair = cookie.split(";")[0]
    client.cookies.clear()
    assert client.get("/api/map", headers=host | {"cookie": f"a=b, c; {pair}"}).status_code == 200
    assert accept(client, headers=host | {"cookie": pair}).status_code == 200
    assert accept(client, headers=host | {"cookie": pair, "origin": "http://evil.example"}).status_code == 403


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"{", b"\xff\xfe", b'{"author": "Ana"}', b'{"author": 3, "decisions": []}',
        b'{"author": "Ana", "decisions": {}}', b'{"author": "Ana", "decisions": [1]}', b"[" * 100_000,
        b'{"author": "Ana", "decisions": [], "filling": "' + b"x" * 2_000_000 + b'"}',
    ],
)  # fmt: skip
def test_malformed_body_is_refused_in_words(client: TestClient, path: Path, content: bytes) -> None:
    answer = client.post("/api/decisions", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400 and answer.json()["problem"]
    assert read_snapshot(path).decisions == ()


@pytest.mark.parametrize("written", ["9" * 5000, "-1", "1.0", "x", "99"])
def test_crack_that_is_not_in_the_map_is_not_found(client: TestClient, written: str) -> None:
    answer = client.get(f"/api/cracks/{written}")
    assert answer.status_code == 404 and "not in the map" in answer.json()["problem"]


@pytest.mark.parametrize("along_m", ["NaN", "1e999", "9" * 400, "-0.5", '"middle"', "true"])
def test_split_at_no_place_of_the_crack_is_refused(client: TestClient, path: Path, along_m: str) -> None:
    content = f'{{"author": "Ana", "decisions": [{{"crack_id": 4, "action": "split", "along_m": {along_m}}}]}}'
    answer = client.post("/api/decisions", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 409
    assert "not a place on the crack" in answer.json()["problem"] and len(answer.json()["problem"]) < 200
    assert read_snapshot(path).decisions == ()


def test_decision_that_does_not_fit_is_refused_in_words(client: TestClient) -> None:
    body = {"author": "Ana", "decisions": [{"crack_id": 4, "action": "merge", "into": 1}]}
    answer = client.post("/api/decisions", json=body)
    assert answer.status_code == 409 and "not one line" in answer.json()["problem"]
    empty = client.post("/api/decisions", json={"author": "Ana", "decisions": []})
    assert empty.status_code == 409
    nobody = client.post("/api/undo", json={"author": "Nobody"})
    assert nobody.status_code == 409 and "nothing to undo for Nobody" in nobody.json()["problem"]


def test_empty_map_has_a_page(tmp_path: Path) -> None:
    path = tmp_path / "empty.sqlite"
    MapStore(path).close()
    client = client_of(path)
    document = client.get("/api/map").json()
    assert client.get("/").status_code == 200 and document["cracks"] == [] and document["facets"] == []


def test_any_crack_and_photograph_that_a_map_can_hold_is_answered_as_json(tmp_path: Path) -> None:
    """Unknown and unbounded numbers, lines of any size, records with holes."""
    rng = np.random.default_rng(7)
    cracks = [random_crack(rng, crack_id) for crack_id in range(1, 61)]
    unknown: dict[str, Any] = {
        "stamp_ns": -5,
        "size_px": (0, 0),
        "position_m": np.full(3, np.nan),
        "orientation_xyzw": np.zeros(4),
        "gsd_mm_per_px": np.nan,
        "sharpness": np.inf,
        "lines": (
            PhotographedLine(np.array([[np.nan, 1.0], [2.0, np.inf]]), np.full(2, np.nan), np.full(2, np.nan)),
            PhotographedLine(np.zeros((0, 2)), np.zeros(0), np.zeros(0)),
        ),
    }
    photographs = [photograph_of_crack(crack.id, **unknown) for crack in cracks[:20]]
    path = tmp_path / "map.sqlite"
    with closing(MapStore(path)) as store:
        store.save(cracks, (), 61, (), photographs)
        store.add_decision(Decision(1, Action.SPLIT, {"at_m": cracks[0].line_m[1].tolist(), "new_id": 99}, "", -1))
    client = client_of(path)
    found = client.get("/api/map").json()["cracks"]
    assert len(found) >= 60
    for crack in found:
        answer = client.get(f"/api/cracks/{crack['id']}")
        assert answer.status_code == 200 and len(answer.json()["along_m"]) >= 2


def test_read_only_map_says_why(path: Path) -> None:
    application = desk_application(OpenedMap(path, SCALE, read_only=True), Access.to("127.0.0.1", 8765))
    client = TestClient(application, base_url=f"http://{HOST}")
    assert "--read-only" in client.get("/api/map").json()["read_only"]
    answer = accept(client)
    assert answer.status_code == 423 and "--read-only" in answer.json()["problem"]
