"""Radial densities and power spectra of every atom's surroundings, in compiled code."""

import numpy as np
from numba import prange

from symgnn.compiled import njit
from symgnn.descriptors.eam_splines import BLOCK
from symgnn.neighbors import near_atoms


@njit()
def _harmonics(x, y, z, factors, out):
    """Complex spherical harmonics of a unit vector, m = 0 to l, for l = 0 to the last degree.

    Y_lm = factor_lm P_lm(z) (x + i y)^m, with P_lm the m-th derivative of Legendre's polynomial.

    Args:
        x: of the unit vector.
        y: likewise.
        z: likewise.
        factors: (degrees, degrees), from `normalisation`.
        out: (degrees, degrees, 2), real and imaginary parts.
    """
    degrees = len(factors)
    real, imaginary, start = 1.0, 0.0, 1.0
    for m in range(degrees):
        before, now = 0.0, start
        for degree in range(m, degrees):
            out[degree, m, 0] = factors[degree, m] * now * real
            out[degree, m, 1] = factors[degree, m] * now * imaginary
            after = (z * (2 * degree + 1) * now - (degree + m) * before) / (degree - m + 1)
            before, now = now, after
        start *= 2 * m + 1  # P_mm = (2 m - 1)!!
        real, imaginary = real * x - imaginary * y, real * y + imaginary * x


@njit(parallel=True)
def densities_and_spectra(places, kind, cutoff, centres, shells, least, factors, most, out):
    """Fill the radial densities and power spectra of every atom.

    Args:
        places: linked cells that reach as far as the cutoff.
        kind: (atoms,), element numbers from 0.
        cutoff: Å.
        centres: (centres,), Å, evenly spaced, of Gaussians as wide as their spacing.
        shells: (shells + 1,), Å, where the shells begin and end.
        least: degree of the first spectrum.
        factors: (degrees, degrees), of the spherical harmonics.
        most: from `symgnn.neighbors.most_near`.
        out: (atoms, elements, centres + shells * spectra), out.
    """
    atoms = len(out)
    for block in prange((atoms + BLOCK - 1) // BLOCK):
        who = np.empty(most, np.int64)
        where = np.empty((most, 3))
        for place in range(block * BLOCK, min(atoms, (block + 1) * BLOCK)):
            near = near_atoms(place, places, cutoff, who, where)
            _describe(who[:near], where, kind, centres, shells, least, factors, out[who[0]])


@njit()
def _describe(who, where, kind, centres, shells, least, factors, out):
    """One atom's, (elements, centres + shells * spectra)."""
    elements, degrees, width = len(out), len(factors), centres[1] - centres[0]
    harmonics = np.empty((degrees, degrees, 2))
    total = np.zeros((elements, len(shells) - 1, degrees, degrees, 2))
    count = np.zeros((elements, len(shells) - 1))
    out[:, :] = 0.0
    for k in range(1, len(who)):
        x, y, z = where[k]
        length = np.sqrt(x * x + y * y + z * z)
        element = kind[who[k]]
        for n in range(len(centres)):
            out[element, n] += np.exp(-0.5 * ((length - centres[n]) / width) ** 2)
        if length <= shells[0] or length > shells[-1]:
            continue
        shell = 0
        while length > shells[shell + 1]:
            shell += 1
        _harmonics(x / length, y / length, z / length, factors, harmonics)
        count[element, shell] += 1.0
        for degree in range(least, degrees):
            for m in range(degree + 1):
                total[element, shell, degree, m, 0] += harmonics[degree, m, 0]
                total[element, shell, degree, m, 1] += harmonics[degree, m, 1]
    for element in range(elements):
        at = len(centres)
        for shell in range(len(shells) - 1):
            for degree in range(least, degrees):
                power = 0.0
                for m in range(degree + 1):
                    square = total[element, shell, degree, m, 0] ** 2
                    square += total[element, shell, degree, m, 1] ** 2
                    power += square if m == 0 else 2.0 * square
                out[element, at] = np.sqrt(power) / max(count[element, shell], 1.0)
                at += 1
