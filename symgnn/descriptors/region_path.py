"""Ways of a region, step by step, in compiled code: each register holds all ways side by side."""

import numpy as np

from symgnn.compiled import njit
from symgnn.descriptors.lanes import load, plus_multiple, spread, store
from symgnn.descriptors.region_forces import WAYS, energy_and_forces, start_energy_and_forces
from symgnn.vectors import LANES, minus, plus, plus_product, times


@njit()
def _shorten(relax, longest):
    """Scale the lanes of displacements (3 atoms LANES,) whose longest atom's is longer."""
    most = np.zeros(LANES)
    for i in range(0, len(relax), 3 * LANES):
        for lane in range(LANES):
            x, y, z = relax[i + lane], relax[i + LANES + lane], relax[i + 2 * LANES + lane]
            most[lane] = max(most[lane], x * x + y * y + z * z)
    for lane in range(LANES):
        if most[lane] > longest * longest:
            factor = longest / np.sqrt(most[lane])
            for i in range(lane, len(relax), LANES):
                relax[i] *= factor


@njit()
def _column_sums(a, b, total):
    """Sums over the rows of a times b, (rows LANES,) each, to (LANES,)."""
    total[:] = 0.0
    found = load(total, 0)
    for i in range(0, len(a), LANES):
        found = plus_product(found, load(a, i), load(b, i))
    store(total, 0, found)


@njit(error_model="numpy")
def _multiply(matrix, columns, out):
    """Product of a matrix (3 n, 3 n) and columns (3 n LANES,), to (3 n LANES,)."""
    size, flat = len(matrix), matrix.ravel()
    for i in range(0, size, 3):
        first, second, third = spread(0.0), spread(0.0), spread(0.0)
        row = i * size
        for j in range(size):
            column = load(columns, j * LANES)
            first = plus_multiple(first, flat[row + j], column)
            second = plus_multiple(second, flat[row + size + j], column)
            third = plus_multiple(third, flat[row + 2 * size + j], column)
        store(out, i * LANES, first)
        store(out, (i + 1) * LANES, second)
        store(out, (i + 2) * LANES, third)


@njit()
def _energies_and_forces(region, splines, scratch, rest, missing, before, shift, energy, force):
    """Energies from the start (LANES,) and forces (3 free, LANES) at some displacements.

    See `symgnn.descriptors.region` for the equation.

    Args:
        region: with its background.
        splines: the potential.
        scratch: memory.
        rest: what the listed pairs do not give of the Hessian.
        missing: (3 free,), eV/Å, what they do not give of the forces at the start.
        before: eV, what they do give of the energy there.
        shift: (3 free, LANES), Å.
        energy: out.
        force: out.
    """
    pull, shifts, forces = np.empty(shift.size), shift.ravel(), force.ravel()
    start = region.start.ravel()
    for i in range(len(shift)):
        store(scratch.place, i * LANES, plus(spread(start[i]), load(shifts, i * LANES)))
    energy_and_forces(region, splines, scratch, energy, force)
    _multiply(rest, shifts, pull)
    total = plus(load(energy, 0), spread(-before))
    for i in range(len(shift)):
        at, given = i * LANES, spread(missing[i])
        back, way = load(pull, at), load(shifts, at)
        total = plus_product(total, minus(times(spread(0.5), back), given), way)
        store(forces, at, plus(load(forces, at), minus(given, back)))
    store(energy, 0, total)


@njit()
def follow(region, splines, scratch, compliance, rest, forces, mode, stride, relaxations, path):
    """Fill `path` (steps, 2, LANES) with energies and forces along a way in each lane.

    Args:
        region: gets its background.
        splines: the potential.
        scratch: memory.
        compliance: inverse Hessian.
        rest: what the listed pairs do not give of the Hessian.
        forces: (atoms, 3), eV/Å, of the structure at the start.
        mode: (3 free, LANES), unit vectors, or zero.
        stride: Å.
        relaxations: Newton steps of the other coordinates at each step.
        path: out.
    """
    shift, force, missing = np.zeros(mode.shape), np.empty(mode.shape), np.empty(len(mode))
    total, along, energy = np.empty(LANES), np.empty(LANES), np.empty(LANES)
    start_energy_and_forces(region, splines, scratch, energy, force)
    before = energy[0]
    for i in range(len(mode)):
        missing[i] = forces[region.atom[i // 3], i % 3] - force[i, 0]
    ways, moves, pulls = mode.ravel(), shift.ravel(), force.ravel()
    answers, relax = np.empty(mode.size), np.empty(mode.size)
    _multiply(compliance, ways, answers)
    _column_sums(answers, ways, total)
    total[total == 0.0] = 1.0
    for step in range(len(path)):
        for k in range(0, len(moves), LANES):
            store(moves, k, plus_multiple(load(moves, k), stride, load(ways, k)))
        for _ in range(relaxations):
            _energies_and_forces(
                region, splines, scratch, rest, missing, before, shift, energy, force
            )
            _multiply(compliance, pulls, relax)
            _column_sums(answers, pulls, along)
            along /= total
            part = load(along, 0)
            for k in range(0, len(relax), LANES):
                store(relax, k, minus(load(relax, k), times(part, load(answers, k))))
                relax[k + WAYS : k + LANES] = 0.0
            _shorten(relax, stride)
            for k in range(0, len(moves), LANES):
                store(moves, k, plus(load(moves, k), load(relax, k)))
        _column_sums(pulls, ways, along)
        path[step, 0] = energy
        path[step, 1] = along
