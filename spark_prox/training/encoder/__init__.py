"""The line encoder: a pretrained encoder, fine-tuned on labelled lines."""
