"""The optional packages that training verbs need, asked for before anything else is done."""

from __future__ import annotations

import importlib.util

from crack_perception.errors import UserError

_PACKAGES = {"sklearn": "scikit-learn"}
"""Imported module -> package to install, where the two differ."""


def require_training_tools(*modules: str, extra: str = "train", otherwise: str = "") -> None:
    """Check that all of these can be imported.

    Args:
        modules: Names that are imported.
        extra: Of the package, which brings them.
        otherwise: What else the user can do, for example ``", or give --quick"``.

    Raises:
        UserError: Some are missing; the remedy is the extra that brings them.
    """
    missing = [_PACKAGES.get(name, name) for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"this needs {', '.join(missing)}", f"pip install 'crack_perception[{extra}]'{otherwise}")
