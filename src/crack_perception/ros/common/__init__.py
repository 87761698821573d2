"""Parts that both nodes use."""
