# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Classify cracks with severity classes of your own.

python examples/severity_edges.py wall.jpg 0.4
"""

import sys
from collections import Counter

from crack_perception import CrackDetector

path, gsd_mm_per_px = sys.argv[1], float(sys.argv[2])

# Three edges in millimetres make four classes; a class needs a probability of 0.8, else the crack is undetermined.
detector = CrackDetector("standard", severity=[0.2, 0.5, 1.0], severity_confidence=0.8)
cracks = detector(path, gsd_mm_per_px=gsd_mm_per_px)

print("classes:", ", ".join(detector.severity_labels))
for label, count in Counter(cracks.severity.tolist()).items():
    print(f"{label}: {count}")
for crack in cracks:
    chances = zip(detector.severity_labels, crack.severity_probabilities, strict=True)
    print(f"{crack.width_mm:.2f} mm:", ", ".join(f"{label} {chance:.2f}" for label, chance in chances))
