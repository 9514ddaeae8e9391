"""Thousands of searches at once: the forces of all rows of a batch, on a GPU or a processor."""
