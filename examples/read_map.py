# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Read the crack map of crack_mapper, select cracks and export them.

python examples/read_map.py crack_map.sqlite
"""

import sys

from crack_perception import CrackMap

crack_map = CrackMap(sys.argv[1])  # the mapper may be running
print(f"{len(crack_map)} cracks, {sum(crack.length_m for crack in crack_map):.2f} m in all")

severe = crack_map.query(severity="obvious", state="confirmed", min_length_m=0.1)
for crack in severe:
    x, y, z = crack.line_m.mean(axis=0)
    print(
        f"#{crack.id}: {crack.length_m:.2f} m long, {crack.mean_width_mm:.2f} +- {crack.mean_width_sigma_mm:.2f} mm"
        f" wide, near ({x:.2f}, {y:.2f}, {z:.2f}) m, seen by {crack.views} frames"
    )

severe.write_geojson("severe_cracks.geojson")
severe.write_csv("severe_cracks.csv")
