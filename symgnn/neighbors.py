"""Pairs of atoms within a cutoff in a periodic cell of any shape (stub: replaced at once)."""
