"""Mapped cracks while they are tracked: state, fusion, existence, growth and merging."""
