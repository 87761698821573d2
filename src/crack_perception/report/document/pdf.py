# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The PDF: a Typst template that is filled with data, never with code, and compiled on this machine."""

from __future__ import annotations

import json
import shutil
import tempfile
from importlib import resources
from pathlib import Path

from crack_perception.errors import UserError, file_error
from crack_perception.report.document.options import DocumentOptions
from crack_perception.report.document.prepared import Prepared
from crack_perception.report.whole_file import whole_file

TEMPLATE = "report.typ"
DATA = "data"
_FONTS = (
    "Noto Sans",
    "Source Sans 3",
    "Liberation Sans",
    "Arial",
    "Helvetica",
    "DejaVu Sans",
    "Libertinus Serif",  # comes with the compiler
)
# Every font that may be needed has these.
_LAST_COMMON_LETTER = 0x24F


def write_pdf(path: Path, prepared: Prepared, options: DocumentOptions) -> None:
    """Write the PDF.

    Raises:
        UserError: The template is missing or has an error, or the file cannot be written.
    """
    import typst

    with tempfile.TemporaryDirectory(prefix="crack_report_") as folder:
        root = Path(folder)
        _copy_template(root, options.template)
        font_paths = [] if options.fonts is None else [options.fonts]
        values = {**prepared.contents, "fonts": _fonts(font_paths)}
        try:
            # In the template's folder, because a template may use no file outside it.
            shutil.copytree(prepared.folder, root / DATA, dirs_exist_ok=True)
            with (root / DATA / "report.json").open("w", encoding="utf-8") as file:
                file.writelines(json.JSONEncoder(ensure_ascii=False).iterencode(values))
        except OSError as error:
            raise file_error(root, error) from error
        try:
            document = typst.compile(root / TEMPLATE, root=root, font_paths=font_paths, format="pdf")
        except (typst.TypstError, RuntimeError) as error:
            where = options.template or "the template of this package"
            raise UserError(
                f"{where}: {TEMPLATE} cannot be compiled ({_first_line(error)})", "Correct the template"
            ) from error
    with whole_file(path) as partial:
        partial.write_bytes(document)


def missing_letters(text: str, fonts: Path | None) -> str:
    """Letters of a text that no font on this machine has, each once in their order."""
    letters = {letter: None for letter in text if ord(letter) > _LAST_COMMON_LETTER and not letter.isspace()}
    if not letters:
        return ""
    import typst
    from fontTools.ttLib import TTCollection, TTFont

    for font in typst.Fonts(font_paths=[] if fonts is None else [fonts]).fonts():
        if not letters:
            break
        if font.path is None:
            continue
        try:
            if str(font.path).lower().endswith((".ttc", ".otc")):
                face = TTCollection(font.path, lazy=True).fonts[font.index]
            else:
                face = TTFont(font.path, lazy=True)
            known = face.getBestCmap() or {}
        except Exception:
            continue  # a damaged font helps nobody
        for letter in list(letters):
            if ord(letter) in known:
                del letters[letter]
    return "".join(letters)


def _copy_template(root: Path, folder: Path | None) -> None:
    shipped = resources.files("crack_perception.report.document") / "templates" / TEMPLATE
    if folder is None:
        (root / TEMPLATE).write_text(shipped.read_text(encoding="utf-8"), encoding="utf-8")
        return
    if not (folder / TEMPLATE).is_file():
        raise UserError(f"{folder}: has no {TEMPLATE}", f"Copy {shipped} there and change it")
    try:
        shutil.copytree(folder, root, dirs_exist_ok=True)
    except (OSError, shutil.Error) as error:
        raise UserError(f"{folder}: cannot be copied ({error})", "Check its files and their permissions") from error


def _fonts(font_paths: list[Path]) -> list[str]:
    """Families for the documents that this machine has, the preferred one first."""
    import typst

    families = set(typst.Fonts(font_paths=font_paths).families())
    return [family for family in _FONTS if family in families]


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
