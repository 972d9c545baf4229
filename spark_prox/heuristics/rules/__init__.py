"""Published rules for whole documents, with the thresholds of their papers: text in, the broken rule out."""
