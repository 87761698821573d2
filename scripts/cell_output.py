# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Fit the cell output of trained models, add it to their graphs and write its entries of the model cards.

.venv/bin/python scripts/cell_output.py --data DATA MODEL_FOLDER...

The other outputs are not changed. A model whose head is fitted again needs it again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from crack_perception.recognition.models import CARD_NAME, inference_sha256
from crack_perception.training.data.cell_tiles import CellSettings
from crack_perception.training.export.cell_output import write_cell_output


def main() -> None:
    """Write the cell output of every model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL_FOLDER")
    parser.add_argument("--data", type=Path, required=True, help="folder with the manifest of the training")
    parser.add_argument(
        "--validation-share", type=float, default=0.12, help="as in the training (default: %(default)s)"
    )
    arguments = parser.parse_args()
    for directory in arguments.models:
        path = directory / CARD_NAME
        card = json.loads(path.read_text(encoding="utf-8"))
        card |= write_cell_output(directory, card, arguments.data, arguments.validation_share, CellSettings())
        card["inference_sha256"] = inference_sha256(card)
        path.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{directory}: {card['bytes_total']:,} bytes, {card['cells']['validation']}")


if __name__ == "__main__":
    main()
