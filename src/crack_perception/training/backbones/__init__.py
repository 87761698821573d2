"""Network trunks: one file an architecture, with torchvision's parameter names where torchvision has it."""
