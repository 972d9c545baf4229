"""Fine-tune a causal language model into a refiner, all parameters or LoRA."""
