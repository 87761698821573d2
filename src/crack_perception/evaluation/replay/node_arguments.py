"""The command line of a node under test."""

from __future__ import annotations

from collections.abc import Mapping


def renamed(name: str, namespace: str) -> list[str]:
    """What gives a node its name and namespace, after ``--ros-args``."""
    return ["-r", f"__node:={name}", "-r", f"__ns:={namespace}"]


def assignments(parameters: Mapping[str, str]) -> list[str]:
    """What sets parameters, after ``--ros-args``; of two values for one parameter the later one wins."""
    return [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
