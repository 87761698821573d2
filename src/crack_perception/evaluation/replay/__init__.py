"""Playing a recording into the real nodes."""
