"""From a document to prompts: chunks, templates, the embedded refiner's own format."""
