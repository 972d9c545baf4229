"""Data only: `embedded/` holds the weights, tokenizer and card of the refiner that ships with the project."""
