"""The map as files for other programs: GeoJSON, CSV, reports and the plan."""
