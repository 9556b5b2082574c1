"""Batches without padding: packing, attention within sentences, and the architectures that support it."""
