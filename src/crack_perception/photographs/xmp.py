# Copyright 2026 The crack_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Values that drones write into the XMP packet of a photograph, by the names that DJI gives them.

The packet is searched for attributes and simple elements by name instead of parsed as XML, so that entities and deep
nesting have no effect. Autel uses DJI's names in a namespace of its own; Parrot and Skydio have other names for the
same angles of the camera (yaw from north, pitch from the horizon, roll; axes north, east and down, turned in this
order). Angles in the namespace ``Camera`` are not read: they are those of the airframe in some models.
"""

from __future__ import annotations

import re

_MOST_BYTES = 1 << 18
_NAMESPACES = "drone-dji|drone-parrot|drone-skydio|drone"
_ATTRIBUTE = re.compile(rf'\b({_NAMESPACES}):(\w{{1,64}})\s*=\s*(?:"([^"<>]{{0,400}})"|\'([^\'<>]{{0,400}})\')')
_ELEMENT = re.compile(rf"<({_NAMESPACES}):(\w{{1,64}})>([^<>]{{0,400}})</(?:{_NAMESPACES}):\w{{1,64}}>")
# Skydio gives the angles of several things, each in a block with the same names.
_BLOCK = re.compile(
    r"<drone-skydio:CameraOrientationNED\b(?:[^<>]{0,1000}/>|.{0,2000}?</drone-skydio:CameraOrientationNED>)", re.S
)
_NAMES = {
    "drone-parrot": {f"Camera{axis}Degree": f"Gimbal{axis}Degree" for axis in ("Yaw", "Pitch", "Roll")},
    "drone-skydio": {
        **{name: name for name in ("Latitude", "Longitude", "AbsoluteAltitude", "RelativeAltitude")},
        "CameraSource": "ImageSource",
    },
}
_IN_BLOCK = {axis: f"Gimbal{axis}Degree" for axis in ("Yaw", "Pitch", "Roll")}


def values_in(packet: bytes) -> dict[str, str]:
    """Return the values of a packet by DJI's names; DJI's own take precedence over those of other namespaces."""
    text = packet[:_MOST_BYTES].decode("utf-8", "replace")
    found = _pairs(text)
    values: dict[str, str] = {}
    for maker, name, value in found:
        known = _NAMES.get(maker)
        if maker == "drone" or (known is not None and name in known):
            values[name if known is None else known[name]] = value
    block = _BLOCK.search(text)
    if block is not None:
        values |= {_IN_BLOCK[name]: value for _, name, value in _pairs(block[0]) if name in _IN_BLOCK}
    return values | {name: value for maker, name, value in found if maker == "drone-dji"}


def _pairs(text: str) -> list[tuple[str, str, str]]:
    """Return namespace, name and value of the elements, then of the attributes."""
    elements = [(maker, name, value.strip()) for maker, name, value in _ELEMENT.findall(text)]
    attributes = _ATTRIBUTE.findall(text)
    return elements + [(maker, name, (double or single).strip()) for maker, name, double, single in attributes]
