"""Saddle searches (ARTn) and the energy barriers they give."""
