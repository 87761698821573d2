# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""``crack_perception models``: list, verify and describe the shipped models."""

from __future__ import annotations

import argparse

HELP = "list, verify (SHA-256) and describe the models"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("models", nargs="*", metavar="MODEL", help="name or folder of a model (default: all shipped)")


def run(arguments: argparse.Namespace) -> int:
    """Print a summary of every model; 1 if one fails verification.

    Raises:
        UsageError: A name is not that of a model, and no model fails verification.
    """
    from crack_perception.cli.main import EXIT_DONE, EXIT_PROBLEM
    from crack_perception.errors import UsageError, UserError
    from crack_perception.recognition.models import load_model, shipped_models

    code, unknown = EXIT_DONE, None
    for name in arguments.models or shipped_models():
        try:
            model = load_model(name)
        except UserError as error:
            print(f"{name}: BROKEN: {error}")
            if isinstance(error, UsageError):
                unknown = error
            else:
                code = EXIT_PROBLEM
            continue
        card = model.card
        print(f"{model.name}: verified, sha256 {model.sha256}")
        print(f"  {model.directory}")
        mega_macs = card.get("macs_per_tile", 0) / 1e6
        print(f"  {model.stored_bytes:,} bytes, {mega_macs:.1f} MMAC per tile of {model.tile_px} px")
        print(f"  threshold {model.threshold:g}, severity estimate in pixels: edge at {model.wide_edge_px:g} px")
        for source, figures in card.get("metrics", {}).items():
            shown = (
                f"{key} {figures[key]:.3f}" for key in ("f1", "auc", "recall", "far") if figures.get(key) is not None
            )
            print(f"  {source}: {', '.join(shown)} (n = {figures.get('n', '?')})")
    if unknown is not None and code == EXIT_DONE:
        raise unknown
    return code
