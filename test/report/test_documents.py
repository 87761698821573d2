# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The PDF by pypdf and the HTML page by an HTML parser, which had no part in writing them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from crack_perception.errors import UserError
from crack_perception.mapping.export.plan.symbols import typeset
from crack_perception.report.contents import Survey
from crack_perception.report.document.charts import width_chart
from crack_perception.report.document.html import write_html
from crack_perception.report.document.options import DocumentOptions
from crack_perception.report.document.payload import seen_words
from crack_perception.report.document.pdf import missing_letters, write_pdf
from crack_perception.report.document.photographs import overlay, thumbnail
from crack_perception.report.document.prepared import Prepared, prepare
from crack_perception.report.georeference import Georeference

pypdf = pytest.importorskip("pypdf", reason="the PDF's reader is not installed: run scripts/setup")
pytest.importorskip("typst", reason="the extra `report` is not installed: run scripts/setup")

TITLE = "Brücke Süd <b>&amp;</b>"
"""The part of the title in letters that the compiler's own font has."""


@pytest.fixture(scope="module")
def prepared(survey: Survey, utm: Georeference) -> Iterator[Prepared]:
    with prepare(survey, utm, DocumentOptions()) as contents:
        yield contents


@pytest.fixture(scope="module")
def pdf(tmp_path_factory: pytest.TempPathFactory, prepared: Prepared) -> pypdf.PdfReader:
    path = tmp_path_factory.mktemp("pdf") / "report.pdf"
    write_pdf(path, prepared, DocumentOptions())
    return pypdf.PdfReader(path)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, prepared: Prepared) -> str:
    path = tmp_path_factory.mktemp("html") / "report.html"
    write_html(path, prepared, DocumentOptions())
    return path.read_text(encoding="utf-8")


class Elements(HTMLParser):
    """Tags with their attributes, and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if self.open[-1:] != ["style"] else ""


def words(text: str) -> str:
    return " ".join(text.split())


def test_pdf_names_title_owner_and_letters_of_other_languages(pdf: pypdf.PdfReader) -> None:
    cover = words(pdf.pages[0].extract_text())
    assert TITLE in cover and "Жидкий" in cover and "Owner & Söhne <AG>" in cover
    assert pdf.metadata.title.startswith(TITLE) and "桥梁裂缝" in pdf.metadata.title
    assert "1 accepted, 10 open, 1 rejected and left out of this report" in cover
    assert "162.0 m²" in cover


def test_pdf_has_a_plan_for_each_facet_with_its_labels(pdf: pypdf.PdfReader, survey: Survey) -> None:
    for letter, surface in zip("ABC", ("wall facing -y", "wall facing +x", "soffit seen from below"), strict=True):
        (plan,) = [text for page in pdf.pages if f"Facet {letter}: {surface}" in (text := words(page.extract_text()))]
        for crack in survey.cracks:
            if crack.facet == letter:
                assert f"{crack.summary.length_m:.2f}m" in plan.replace(" ", "")
    assert "Pfeiler" in "".join(pdf.pages[1].extract_text().split())


def test_pdf_shows_every_crack_with_values_and_photographs(pdf: pypdf.PdfReader, survey: Survey) -> None:
    text = words(" ".join(page.extract_text() for page in pdf.pages))
    for crack in survey.cracks:
        summary = crack.summary
        assert f"{summary.mean_width_mm:.2f} ± {summary.mean_width_sigma_mm:.2f} mm" in text
        assert all(photograph.file in text for photograph in crack.photographs)
    assert "<script>alert(1)</script>" in text and "Jörg Müller" in text
    assert "Limits" in text and "CS2 from 0.30 mm" in text and "SHA-256" in text
    pictures = sum(len(page.images) for page in pdf.pages)
    assert pictures >= sum(len(crack.photographs) for crack in survey.cracks)


def test_pdf_of_an_empty_map_is_a_document(tmp_path: Path, survey: Survey, local: Georeference) -> None:
    empty = replace(survey, cracks=(), facets={}, inspected_areas_m=(), decisions=())
    with prepare(empty, local, DocumentOptions()) as contents:
        write_pdf(tmp_path / "report.pdf", contents, DocumentOptions())
        write_html(tmp_path / "report.html", contents, DocumentOptions())
    text = " ".join(page.extract_text() for page in pypdf.PdfReader(tmp_path / "report.pdf").pages)
    assert "There are no cracks in the map." in words(text)
    assert "There are no cracks in the map." in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_pdf_of_a_users_template_has_its_pages(tmp_path: Path, prepared: Prepared) -> None:
    template = tmp_path / "house style"
    template.mkdir()
    (template / "logo.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    (template / "report.typ").write_text('#let data = json("data/report.json")\n#image("logo.svg")\nOURS #data.owner')
    write_pdf(tmp_path / "report.pdf", prepared, DocumentOptions(template=template))
    (page,) = pypdf.PdfReader(tmp_path / "report.pdf").pages
    assert words(page.extract_text()) == "OURS Owner & Söhne <AG>"


@pytest.mark.parametrize(("content", "told"), [(None, "has no report.typ"), ("#nothing()", "cannot be compiled")])
def test_pdf_of_a_wrong_template_is_refused(tmp_path: Path, prepared: Prepared, content: str | None, told: str) -> None:
    if content is not None:
        (tmp_path / "report.typ").write_text(content)
    with pytest.raises(UserError, match=told):
        write_pdf(tmp_path / "out" / "report.pdf", prepared, DocumentOptions(template=tmp_path))
    assert not (tmp_path / "out").exists()


def test_missing_letters_are_those_that_no_font_has() -> None:
    assert missing_letters("Brücke, width 0.3 mm ± 0.1", None) == ""
    assert missing_letters("a\U0010fffd\U0010fffdb", None) == "\U0010fffd"


def test_page_escapes_all_text_of_the_map(page: str) -> None:
    elements = Elements(page)
    assert elements.open == []
    assert {"script", "b", "iframe", "link"} & {tag for tag, _ in elements.tags} == set()
    assert TITLE in elements.text and "<script>alert(1)</script>" in elements.text
    assert 'Pfeiler <1> "Süd" & 桥' in elements.text


def test_page_needs_nothing_from_outside(page: str) -> None:
    elements = Elements(page)
    sources = [attributes.get("src") or "" for tag, attributes in elements.tags if tag == "img"]
    assert sources and all(source.startswith("data:image/") for source in sources)
    targets = [attributes.get("href") or "" for tag, attributes in elements.tags if tag == "a"]
    names = {attributes["id"] for _, attributes in elements.tags if "id" in attributes}
    assert targets and all(target.removeprefix("#") in names for target in targets)
    assert re.search(r"url\(|@import", page) is None
    assert "default-src 'none'" in page


def test_page_shows_photographs_with_their_lines(page: str, survey: Survey) -> None:
    sources = [attributes.get("src") or "" for tag, attributes in Elements(page).tags if tag == "img"]
    jpegs = [source for source in sources if source.startswith("data:image/jpeg")]
    assert len(jpegs) == sum(len(crack.photographs) for crack in survey.cracks)
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(jpegs[0].partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (427, 640, 3)
    for source in sources:
        if source.startswith("data:image/svg"):
            ElementTree.fromstring(base64.b64decode(source.partition(",")[2]))


def test_page_is_bounded_and_says_what_is_left_out(tmp_path: Path, prepared: Prepared) -> None:
    write_html(tmp_path / "report.html", prepared, DocumentOptions(page_bytes=200_000))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    jpegs = re.findall(r'src="data:image/jpeg;base64,([^"]*)"', page)
    assert 0 < sum(len(base64.b64decode(jpeg)) for jpeg in jpegs) <= 200_000
    assert f"{22 - len(jpegs)} photographs are left out to keep this page small" in page


def test_documents_show_photographs_of_the_most_urgent_cracks(survey: Survey, local: Georeference) -> None:
    with prepare(survey, local, DocumentOptions(photographed_cracks=3)) as contents:
        shown = [crack["id"] for crack in contents.contents["cracks"] if crack["photographs"]]
    assert shown == [str(crack.id) for crack in survey.cracks[:3]]
    assert "3 most urgent of 11 cracks" in contents.contents["photograph_note"]


def test_thumbnail_is_smaller_and_keeps_its_proportions(survey: Survey) -> None:
    _, photograph = next(survey.photographs())
    small = thumbnail(survey.photograph_folder / photograph.file, photograph.size_px, 300)
    assert small is not None and (small.width_px, small.height_px) == (300, 200)


def test_thumbnail_of_a_damaged_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8 no picture")
    assert thumbnail(tmp_path / "a.jpg", (640, 480), 300) is None
    assert thumbnail(tmp_path / "none.jpg", (640, 480), 300) is None


def test_overlay_line_lies_where_the_photographs_line_does(survey: Survey) -> None:
    _, photograph = next(survey.photographs())
    root = ElementTree.fromstring(overlay(photograph, (200, 0, 0)))
    scale = float(root.get("viewBox").split()[2]) / photograph.size_px[0]
    paths = [path.get("d") for path in root.iter() if path.get("stroke") == "#c80000"]
    found = np.array([[float(part) for part in point.split()] for point in paths[0].removeprefix("M").split("L")])
    np.testing.assert_allclose(found / scale - 0.5, photograph.lines[0].points_px, atol=0.02)


def test_overlay_scale_bar_is_as_long_as_it_says(survey: Survey) -> None:
    _, photograph = next(survey.photographs())
    root = ElementTree.fromstring(overlay(photograph, None))
    (text,) = [item.text for item in root.iter() if item.tag.endswith("text")]
    lefts = [
        [float(x) for x in re.findall(r"[ML]([\d.]+) ", path.get("d"))]
        for path in root.iter()
        if path.get("stroke") == "#000000"
    ]
    length_px = (max(map(max, lefts)) - min(map(min, lefts))) * photograph.size_px[0] / 1000.0
    assert float(text.removesuffix(" cm")) * 10 == pytest.approx(length_px * photograph.gsd_mm_per_px, rel=1e-3)


def test_width_chart_without_widths_is_none(survey: Survey) -> None:
    crack = survey.cracks[0].crack
    assert width_chart(replace(crack, width_mm=np.full(len(crack.width_mm), np.nan)), survey.scale) is None
    assert width_chart(crack, survey.scale).startswith("<?xml")


@pytest.mark.parametrize(
    ("widths_mm", "numbers"),
    [
        ((0.1, 0.42), ["0.0", "0.2", "0.4", "0.6"]),
        ((2.0, 4.82), ["0", "2", "4", "6"]),
        ((0.02, 0.03), ["0.00", "0.01"]),
    ],
)
def test_width_chart_numbers_are_round_and_have_the_same_decimals(
    survey: Survey, widths_mm: tuple[float, float], numbers: list[str]
) -> None:
    crack = survey.cracks[0].crack
    width_mm = np.linspace(*widths_mm, len(crack.line_m))
    chart = width_chart(replace(crack, width_mm=width_mm, width_sigma_mm=0.01 * width_mm), survey.scale)
    texts = [item.text for item in ElementTree.fromstring(chart).iter() if item.tag.endswith("text")]
    assert texts[: len(numbers)] == numbers


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        ("2026-05-01T10:00:00", "2026-05-01T10:00:00", "2026-05-01 10:00:00"),
        ("2026-05-01T10:00:00", "2026-05-01T10:00:24", "2026-05-01 10:00:00 to 10:00:24"),
        ("2026-05-01T10:00:00", "2026-05-02T09:00:00", "2026-05-01 10:00:00 to 2026-05-02 09:00:00"),
    ],
)
def test_seen_words_name_the_day_once(first: str, last: str, words: str) -> None:
    stamps = [round(datetime.fromisoformat(f"{each}+00:00").timestamp()) * 10**9 for each in (first, last)]
    assert seen_words(*stamps) == words


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("0.3-1.27mm", "0.3–1.27 mm"),
        ("<0.3mm", "< 0.3 mm"),
        (">=1.27mm", "≥ 1.27 mm"),
        ("obvious (>=0.1 mm)", "obvious (≥ 0.1 mm)"),
        ("wall facing -y", "wall facing -y"),
        ("wall facing S (182 deg)", "wall facing S (182°)"),
        ("undetermined", "undetermined"),
    ],
)
def test_typeset_prints_classes_and_directions(name: str, printed: str) -> None:
    assert typeset(name) == printed
