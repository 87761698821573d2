"""The surface that is flown along, with its cracks."""
