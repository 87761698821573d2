# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Detect the cracks of an image, print them, and write an annotated copy and GeoJSON.

python examples/detect_image.py wall.jpg 0.4
"""

import json
import sys
from pathlib import Path

import cv2

from crack_perception import CrackDetector

path = Path(sys.argv[1])
gsd_mm_per_px = float(sys.argv[2]) if len(sys.argv) > 2 else None

detector = CrackDetector("standard")
image = cv2.imread(str(path))
cracks = detector(image, gsd_mm_per_px=gsd_mm_per_px)

for crack in cracks:
    x, y, length_px, *_ = crack.box
    print(f"crack at ({x:.0f}, {y:.0f}) px: score {crack.score:.2f}, {crack.width_px:.1f} px wide, {crack.severity}")

cv2.imwrite(f"{path.stem}_cracks.jpg", cracks.plot(image))
Path(f"{path.stem}_cracks.geojson").write_text(json.dumps(cracks.to_geojson()))
print(f"{len(cracks)} cracks on {detector.backend}")
