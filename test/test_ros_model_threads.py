"""Threads of the model beside the node's other work."""

from __future__ import annotations

import pytest

from crack_perception.recognition.model_store import load_model
from crack_perception.ros.model_threads import model_threads


@pytest.mark.parametrize(
    ("model", "cores", "threads"), [("nano", 1, 1), ("nano", 2, 1), ("nano", 4, 0), ("standard", 2, 0)]
)
def test_a_small_model_leaves_the_second_core_to_the_rest(model: str, cores: int, threads: int) -> None:
    assert model_threads(0, load_model(model).card, cores) == threads


@pytest.mark.parametrize("card", [{}, {"macs_per_tile": "few"}, {"macs_per_tile": 1e6}])
def test_what_the_operator_sets_is_taken(card: dict[str, object]) -> None:
    assert model_threads(3, card, 2) == 3


@pytest.mark.parametrize("card", [{}, {"macs_per_tile": "few"}])
def test_a_model_of_unknown_size_is_left_to_the_backend(card: dict[str, object]) -> None:
    assert model_threads(0, card, 2) == 0
