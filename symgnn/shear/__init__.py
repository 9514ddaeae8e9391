"""Athermal quasistatic shear of glasses, and what it says of their plasticity."""
