# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Hook of mkdocs: add the model cards as pages of the site."""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

MODELS = Path(__file__).resolve().parents[1] / "models"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add ``model_NAME.md`` for every model."""
    for card in sorted(MODELS.glob("*/README.md")):
        files.append(File.generated(config, f"model_{card.parent.name}.md", content=card.read_text(encoding="utf-8")))
    return files
