"""The transformers engine's way on a GPU: packed prefill, decoding in lanes, nothing waits for the CPU."""
