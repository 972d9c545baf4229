"""Writers of programs that are no language model: rules, the line classifier, the ensemble beside a model."""
