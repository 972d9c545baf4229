"""Train refiners and line classifiers."""
