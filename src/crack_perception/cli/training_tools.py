"""The optional packages that training verbs need, asked for before anything else is done."""

from __future__ import annotations

import importlib.util

from crack_perception.errors import UserError


def require_training_tools(*modules: str) -> None:
    """Check that all of these can be imported.

    Raises:
        UserError: Some are missing; the remedy is the extra that brings them.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"this needs {', '.join(missing)}", "pip install 'crack_perception[train]'")
