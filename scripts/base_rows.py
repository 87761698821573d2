# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Write the base rows of trained models, which `crack_perception adapt` needs, and their entry in the model card.

.venv/bin/python scripts/base_rows.py --data DATA MODEL_FOLDER...

`crack_perception train` writes them by itself; this script is for models that were trained before. The graph of the
model is not changed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from crack_perception.recognition.models import CARD_NAME
from crack_perception.training.export.base_rows import write_base_rows


def main() -> None:
    """Write the rows of every model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL_FOLDER")
    parser.add_argument("--data", type=Path, required=True, help="folder with the manifest of the training")
    parser.add_argument(
        "--validation-share", type=float, default=0.12, help="as in the training (default: %(default)s)"
    )
    arguments = parser.parse_args()
    for directory in arguments.models:
        entry = write_base_rows(directory, arguments.data, arguments.validation_share)
        path = directory / CARD_NAME
        card = json.loads(path.read_text(encoding="utf-8")) | entry
        path.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{directory}: {entry}")


if __name__ == "__main__":
    main()
