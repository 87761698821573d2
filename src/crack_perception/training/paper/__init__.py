"""The tables and ablations of the paper, measured again."""
