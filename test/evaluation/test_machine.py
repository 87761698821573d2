# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The machine's processor and its instruction set, from the kernel's description."""

from __future__ import annotations

import pytest

from crack_perception.evaluation.machine import machine_figures, processor_figures, processor_text


@pytest.mark.parametrize(
    ("cpu_info", "processor", "instruction_set"),
    [
        ("model name\t: Some Xeon\nflags\t\t: sse4_2 avx avx2 avx512f avx512_vnni\n", "Some Xeon", "AVX-512 and VNNI"),
        ("model name\t: Old Xeon\nflags\t\t: sse4_2 avx avx2 avx512f\n", "Old Xeon", "AVX-512"),
        ("model name\t: AMD EPYC\nflags\t\t: fma sse4_2 avx avx2\n", "AMD EPYC", "AVX2, no AVX-512"),
        ("model name\t: Atom\nflags\t\t: sse4_2\n", "Atom", "SSE4.2, no AVX"),
        ("Features\t: fp asimd asimddp\n\nModel\t: Raspberry Pi 5\n", "Raspberry Pi 5", "NEON with dot products"),
        ("Features\t: fp asimd\n\nModel\t: Raspberry Pi 4\n", "Raspberry Pi 4", "NEON"),
    ],
)
def test_processor_figures_of_a_description_name_the_fastest_set(
    cpu_info: str, processor: str, instruction_set: str
) -> None:
    figures = processor_figures(cpu_info)
    assert (figures["processor"], figures["instruction_set"]) == (processor, instruction_set)


def test_processor_figures_without_flags_are_unknown_but_named() -> None:
    figures = processor_figures("")
    assert figures["instruction_set"] == "unknown instruction set"
    assert figures["processor"]


def test_processor_text_of_an_earlier_document_has_only_what_it_says() -> None:
    assert processor_text({"processor": "A", "usable_cores": 2}) == "A with unknown instruction set, 2 cores"
    assert processor_text({"processor": "A", "threads": 2}) == "A with unknown instruction set"


def test_machine_figures_describe_this_machine() -> None:
    figures = machine_figures()
    assert processor_text(figures).startswith(figures["processor"])
    assert figures["usable_cores"] >= 1
    assert figures["packages"]["numpy"]


def test_machine_figures_name_the_middleware_in_use() -> None:
    rclpy = pytest.importorskip("rclpy", reason="no ROS 2 environment: run scripts/setup")
    assert machine_figures()["rmw"] == rclpy.get_rmw_implementation_identifier()
