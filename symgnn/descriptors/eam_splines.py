"""EAM functions as splines in compiled code, and what they say of every atom of a structure."""

from typing import NamedTuple

import numpy as np
from numba import prange

from symgnn.compiled import njit
from symgnn.neighbors import near_atoms

BLOCK = 128  # atoms that a thread takes at a time


class Splines(NamedTuple):
    """An EAM potential as cubic splines: in interval m the function is c0 + p (c1 + p (c2 + p c3)).

    Attributes:
        cutoff: Å.
        density_cutoff: Å, beyond which all densities are zero.
        step: spacing of the knots of the pair functions, Å.
        elements: E.
        knots: n.
        rows: (E * E * n * 12 + 4,): for an atom of element a with a neighbour of element b,
            interval m begins at 12 ((a E + b) n + m): r φ(r) in eV·Å, the density at the atom, the
            density at the neighbour.
        density_step: spacing of the knots of the embedding functions.
        embedding: (E, n_ρ, 4), eV.
    """

    cutoff: float
    density_cutoff: float
    step: float
    elements: int
    knots: int
    rows: np.ndarray
    density_step: float
    embedding: np.ndarray


@njit(inline="always")
def pair_function(splines, a, b, which, x):
    """Value, slope and curvature per knot spacing of r φ (0) or a density (1 at a, 2 at b)."""
    m = min(np.int32(x), splines.knots - 2)
    p = x - m
    q = 12 * ((a * splines.elements + b) * splines.knots + m) + 4 * which
    c0, c1, c2, c3 = (
        splines.rows[q],
        splines.rows[q + 1],
        splines.rows[q + 2],
        splines.rows[q + 3],
    )
    value = c0 + p * (c1 + p * (c2 + p * c3))
    return value, c1 + p * (2.0 * c2 + p * 3.0 * c3), 2.0 * c2 + 6.0 * p * c3


@njit(inline="always")
def _spline(c, x):
    """Value, slope and curvature per knot spacing."""
    m = min(np.int32(x), len(c) - 2)
    p = x - m
    value = c[m, 0] + p * (c[m, 1] + p * (c[m, 2] + p * c[m, 3]))
    slope = c[m, 1] + p * (2.0 * c[m, 2] + p * 3.0 * c[m, 3])
    return value, slope, 2.0 * c[m, 2] + 6.0 * p * c[m, 3]


@njit()
def embed(splines, element, density):
    """F, F', F'' of an atom; beyond the table F goes on linearly."""
    c = splines.embedding[element]
    x = density / splines.density_step
    last = len(c) - 1
    if x > last:
        value, slope, _ = _spline(c, float(last))
        return value + slope * (x - last), slope / splines.density_step, 0.0
    value, slope, curvature = _spline(c, x)
    return value, slope / splines.density_step, curvature / splines.density_step**2


@njit(parallel=True)
def mechanics(places, species, splines, most, density, energy, force, virial):
    """Fill density, energy (eV), force (eV/Å) and virial (eV) of every atom of a structure.

    The energy of a pair and its virial are shared in halves, as LAMMPS does. `virial` is
    (atoms, 3, 3), minus the stress times the atom's volume: positive under compression.
    """
    atoms = len(places.ordered)
    blocks = (atoms + BLOCK - 1) // BLOCK
    for block in prange(blocks):
        who = np.empty(most, np.int64)
        where = np.empty((most, 3))
        for place in range(block * BLOCK, min(atoms, (block + 1) * BLOCK)):
            count = near_atoms(place, places, splines.cutoff, who, where)
            a = species[who[0]]
            total, half = 0.0, 0.0
            for k in range(1, count):
                r = np.sqrt(where[k, 0] ** 2 + where[k, 1] ** 2 + where[k, 2] ** 2)
                b = species[who[k]]
                total += pair_function(splines, a, b, 1, r / splines.step)[0]
                half += 0.5 * pair_function(splines, a, b, 0, r / splines.step)[0] / r
            density[who[0]] = total
            energy[who[0]] = half + embed(splines, a, total)[0]
    for block in prange(blocks):
        who = np.empty(most, np.int64)
        where = np.empty((most, 3))
        for place in range(block * BLOCK, min(atoms, (block + 1) * BLOCK)):
            count = near_atoms(place, places, splines.cutoff, who, where)
            i = who[0]
            a = species[i]
            mine = embed(splines, a, density[i])[1]
            force[i, :] = 0.0
            virial[i, :, :] = 0.0
            for k in range(1, count):
                r = np.sqrt(where[k, 0] ** 2 + where[k, 1] ** 2 + where[k, 2] ** 2)
                x, h, b = r / splines.step, splines.step, species[who[k]]
                z, dz, _ = pair_function(splines, a, b, 0, x)
                theirs = embed(splines, b, density[who[k]])[1]
                slope = (dz / h - z / r) / r
                slope += mine * pair_function(splines, a, b, 1, x)[1] / h
                slope += theirs * pair_function(splines, a, b, 2, x)[1] / h
                for u in range(3):
                    force[i, u] += slope * where[k, u] / r
                    for v in range(3):
                        virial[i, u, v] -= 0.5 * slope * where[k, u] * where[k, v] / r
