"""Data only: `embedded/` holds the weights, tokenizer and card of the refiner that ships with the project.

`smollm2/` holds an adapter that makes a generative refiner of SmolLM2.
"""
