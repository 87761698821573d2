"""How fast the models, the parts of the pipeline and the whole node are, in ratios of one run."""
