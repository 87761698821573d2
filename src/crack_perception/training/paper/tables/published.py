# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The paper's own Tables 1-4, for comparison.

Z. Yang, "Automatic Recognition of Concrete Cracks in Industrial and Civil Buildings Based on CNN + SVM/Random Forest",
section 4.2. Volumes and operations are as printed.
"""

from __future__ import annotations

from dataclasses import dataclass

BASE = "mobilenet_v3_small"
"""Backbone of our Tables 2 to 4; small enough for the drone."""


@dataclass(frozen=True)
class PaperTable:
    """A printed table: caption, column heads and rows."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]


PAPER_TABLES = {
    1: PaperTable(
        "Backbone feature extraction performance",
        ("model", "F1", "volume", "FLOPs"),
        (
            ("VGG16", 0.90, "528 MB", "15.6 G"),
            ("ResNet50", 0.92, "98 MB", "3.8 G"),
            ("MobileNetV3", 0.89, "12 MB", "0.21 G"),
            ("EfficientNet-Lite", 0.87, "18 MB", "0.35 G"),
        ),
    ),
    2: PaperTable(
        "Before and after feature enhancement",
        ("model", "clean F1", "interference F1", "interference false alarms", "interference misses"),
        (
            ("MobileNetV3 + SVM (before)", 0.89, 0.78, 0.08, 0.14),
            ("MobileNetV3 + SVM (after)", 0.90, 0.84, 0.05, 0.08),
        ),
    ),
    3: PaperTable(
        "Lightweight performance",
        ("model", "F1", "volume", "time on a Raspberry Pi 4B", "FLOPs"),
        (
            ("ResNet50 + SVM", 0.92, "8.2 MB", "15.3 ms", "3.8 G"),
            ("MobileNetV3 + SVM, uncompressed", 0.90, "12.5 MB", "4.0 ms", "0.21 G"),
            ("MobileNetV3 + compressed SVM", 0.89, "92 KB", "0.8 ms", "12 M"),
        ),
    ),
    4: PaperTable(
        "Severity classification",
        ("classifier", "accuracy", "slight, P / R / F1", "obvious, P / R / F1"),
        (
            ("SVM", 0.87, "0.88 / 0.86 / 0.87", "0.86 / 0.87 / 0.86"),
            ("random forest", 0.84, "0.85 / 0.82 / 0.83", "0.83 / 0.85 / 0.84"),
        ),
    ),
}

SIZE_AND_F1 = ((8.2e6, 0.92, "ResNet50 + SVM"), (12.5e6, 0.90, "MobileNetV3 + SVM"), (92e3, 0.89, "compressed"))
"""Bytes, F1 and name of the rows of Table 3, for the chart."""
