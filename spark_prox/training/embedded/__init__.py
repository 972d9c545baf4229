"""Train the small model that ships with the project."""
