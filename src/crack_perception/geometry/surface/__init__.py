"""Surface geometry: measured ranges, planes from depth or the map, and planes learnt in flight."""
