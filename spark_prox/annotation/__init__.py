"""Labelled examples from a large model or from people: prompts out, answers read and checked, examples for training."""
