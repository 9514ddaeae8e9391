"""Melt-quench of metallic glasses in LAMMPS."""
