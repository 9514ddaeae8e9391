"""The EAM force call of many regions as Triton kernels.

A program has some atoms of one row, and goes over their neighbours in tiles of (atoms, slots).
Every atom has its full list, so that no two programs add to the same number but for the density
on frozen atoms, which is summed in whole units of 2^-40: sums of integers do not depend on their
order. So a row's results depend on nothing but the row.

`numbers` holds the steps of the pair functions and of the embedding functions in float64, as an
argument that is a number would arrive in float32.

Arrays of rows have a fixed stride; `rows` names those that take part. A site is four float64: its
place, Å, and its owner times the number of elements plus its species.
"""

import triton
import triton.language as tl

UNIT = tl.constexpr(1099511627776.0)  # 2^40 to a unit of density


@triton.jit
def place_sites(
    rows, trial, offset, owner, free, site, laid, atoms, sites, owners, BLOCK: tl.constexpr
):
    """Move the sites whose owners are free, and set the densities laid on frozen owners to 0."""
    row = tl.load(rows + tl.program_id(0)).to(tl.int64)
    s = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    own = tl.load(owner + row * sites + s, mask=s < sites, other=-1)
    moves = (own >= 0) & (own < tl.load(free + row))
    for x in tl.static_range(3):
        there = tl.load(offset + (row * sites + s) * 3 + x, mask=moves, other=0.0)
        there += tl.load(trial + row * atoms * 3 + own * 3 + x, mask=moves, other=0.0)
        tl.store(site + (row * sites + s) * 4 + x, there, mask=moves)
    tl.store(laid + row * owners + s, tl.zeros([BLOCK], tl.int64), mask=s < owners)


@triton.jit
def select_pairs(
    rows,
    site,
    source,
    source_count,
    near2,
    far2,
    chosen,
    near_count,
    count,
    atoms,
    sites,
    sources,
    slots,
    elements,
    EVERY: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """List the sites around an atom: first the near ones, then the far ones.

    Out of all sites where `EVERY`, else out of those in `source`. Where more are found than there
    are slots, `count` says how many and the list is not to be used.
    """
    row = tl.load(rows + tl.program_id(0)).to(tl.int64)
    atom = tl.program_id(1)
    here = site + (row * sites + atom) * 4
    x0, y0, z0 = tl.load(here), tl.load(here + 1), tl.load(here + 2)
    species = tl.load(here + 3).to(tl.int32) % elements
    listed = chosen + (row * atoms + atom) * slots
    total = sites if EVERY else tl.load(source_count + row * atoms + atom)
    filled = 0
    for group in tl.static_range(2):
        for begin in range(0, total, BLOCK):
            k = begin + tl.arange(0, BLOCK)
            valid = k < total
            if EVERY:
                s = k
            else:
                s = tl.load(source + (row * atoms + atom) * sources + k, mask=valid, other=0)
            there = site + (row * sites + s) * 4
            dx = tl.load(there, mask=valid, other=0.0) - x0
            dy = tl.load(there + 1, mask=valid, other=0.0) - y0
            dz = tl.load(there + 2, mask=valid, other=0.0) - z0
            code = tl.load(there + 3, mask=valid, other=0.0).to(tl.int32)
            square = dx * dx + dy * dy + dz * dz
            kind = species * elements + code % elements
            within = tl.load(near2 + kind, mask=valid, other=0.0)
            if group == 0:
                fits = valid & (s != atom) & (square < within)
            else:
                beyond = tl.load(far2 + kind, mask=valid, other=0.0)
                fits = valid & (s != atom) & (square >= within) & (square < beyond)
            slot = filled + tl.cumsum(fits.to(tl.int32), 0) - 1
            tl.store(listed + slot, s, mask=fits & (slot < slots))
            filled += tl.sum(fits.to(tl.int32), 0)
        if group == 0:
            tl.store(near_count + row * atoms + atom, filled)
    tl.store(count + row * atoms + atom, filled)


@triton.jit
def _neighbors(row, atom, k, valid, site, listed, atoms, sites, slots, x0, y0, z0, REAL):
    """Vectors to the neighbours in the slots `k`, squares of their lengths, and their codes."""
    place = listed + (row * atoms + atom[:, None]) * slots + k[None, :]
    s = tl.load(place, mask=valid, other=0)
    there = site + (row * sites + s) * 4
    # Differences in float64: of places in float32 they would be wrong by 1e-6 Å.
    dx = (tl.load(there, mask=valid, other=0.0) - x0[:, None]).to(REAL)
    dy = (tl.load(there + 1, mask=valid, other=0.0) - y0[:, None]).to(REAL)
    dz = (tl.load(there + 2, mask=valid, other=0.0) - z0[:, None]).to(REAL)
    code = tl.load(there + 3, mask=valid, other=0.0).to(tl.int32)
    square = tl.where(valid, dx * dx + dy * dy + dz * dz, 1.0)
    return dx, dy, dz, square, code


@triton.jit
def _cubic(table, place, way, valid):
    """Value and slope of a function of the table, whose rows hold eight coefficients."""
    c0 = tl.load(table + place * 8, mask=valid, other=0.0)
    c1 = tl.load(table + place * 8 + 1, mask=valid, other=0.0)
    c2 = tl.load(table + place * 8 + 2, mask=valid, other=0.0)
    c3 = tl.load(table + place * 8 + 3, mask=valid, other=0.0) * way
    inner = c1 + way * (c2 + c3)
    return c0 + way * inner, inner + way * (c2 + c3 + c3)


@triton.jit
def _embed(table, species, density, step, knots, valid):
    """Embedding energy, eV, and its slope."""
    knot = tl.minimum(tl.maximum(density / step, 0.0).to(tl.int32), knots - 1)
    way = density - knot.to(tl.float64) * step
    place = (species * knots + knot) * 4
    c0 = tl.load(table + place, mask=valid, other=0.0)
    c1 = tl.load(table + place + 1, mask=valid, other=0.0)
    c2 = tl.load(table + place + 2, mask=valid, other=0.0)
    c3 = tl.load(table + place + 3, mask=valid, other=0.0) * way
    inner = c1 + way * (c2 + c3)
    return c0 + way * inner, inner + way * (c2 + c3 + c3)


@triton.jit
def lay_densities(
    rows,
    site,
    listed,
    near_count,
    free,
    table,
    embedding,
    before,
    laid,
    rise,
    energy,
    atoms,
    sites,
    owners,
    slots,
    elements,
    intervals,
    knots,
    numbers,
    SYMMETRIC: tl.constexpr,
    REAL: tl.constexpr,
    ATOMS: tl.constexpr,
    SLOTS: tl.constexpr,
):
    """Densities of free atoms, their embedding, and what they lay on frozen atoms."""
    row = tl.load(rows + tl.program_id(0)).to(tl.int64)
    step = tl.load(numbers).to(REAL)
    number = tl.load(free + row)
    atom = tl.program_id(1) * ATOMS + tl.arange(0, ATOMS)
    there = atom < number
    here = site + (row * sites + atom) * 4
    x0 = tl.load(here, mask=there, other=0.0)
    y0 = tl.load(here + 1, mask=there, other=0.0)
    z0 = tl.load(here + 2, mask=there, other=0.0)
    species = tl.load(here + 3, mask=there, other=0.0).to(tl.int32) % elements
    near = tl.load(near_count + row * atoms + atom, mask=there, other=0)
    total = tl.zeros([ATOMS], tl.float64)
    for begin in range(0, tl.max(near, 0), SLOTS):
        k = begin + tl.arange(0, SLOTS)
        valid = k[None, :] < near[:, None]
        _, _, _, square, code = _neighbors(
            row, atom, k, valid, site, listed, atoms, sites, slots, x0, y0, z0, REAL
        )
        distance = tl.sqrt(square)
        knot = (distance / step).to(tl.int32)
        way = distance - knot.to(REAL) * step
        other = code % elements
        place = (species[:, None] * elements + other) * intervals + knot
        density, _ = _cubic(table, place, way, valid)
        total += tl.sum(density.to(tl.float64), 1)
        owner = code // elements
        frozen = valid & (owner >= number)
        if not SYMMETRIC:
            place = (other * elements + species[:, None]) * intervals + knot
            density, _ = _cubic(table, place, way, frozen)
        units = (density.to(tl.float64) * UNIT).to(tl.int64)
        tl.atomic_add(laid + row * owners + owner, units, mask=frozen, sem="relaxed")
    value, slope = _embed(embedding, species, total, tl.load(numbers + 1), knots, there)
    start = tl.load(before + row * owners + atom, mask=there, other=0.0)
    tl.store(rise + row * owners + atom, slope, mask=there)
    tl.store(energy + row * owners + atom, value - start, mask=there)


@triton.jit
def embed_frozen(
    rows,
    species,
    free,
    count,
    background,
    laid,
    embedding,
    before,
    rise,
    energy,
    owners,
    knots,
    numbers,
    BLOCK: tl.constexpr,
):
    """Embedding of the frozen owners at the densities that they now have."""
    row = tl.load(rows + tl.program_id(0)).to(tl.int64)
    o = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    valid = (o >= tl.load(free + row)) & (o < tl.load(count + row))
    at = row * owners + o
    density = tl.load(laid + at, mask=valid, other=0).to(tl.float64) / UNIT
    density += tl.load(background + at, mask=valid, other=0.0)
    kind = tl.load(species + at, mask=valid, other=0)
    value, slope = _embed(embedding, kind, density, tl.load(numbers + 1), knots, valid)
    tl.store(rise + at, slope, mask=valid)
    tl.store(energy + at, value - tl.load(before + at, mask=valid, other=0.0), mask=valid)


@triton.jit
def pull_atoms(
    rows,
    site,
    listed,
    near_count,
    all_count,
    free,
    table,
    rise,
    energy,
    force,
    atoms,
    sites,
    owners,
    slots,
    elements,
    intervals,
    numbers,
    SYMMETRIC: tl.constexpr,
    REAL: tl.constexpr,
    ATOMS: tl.constexpr,
    SLOTS: tl.constexpr,
):
    """Forces on free atoms, eV/Å, and their share of the pair energy, added to `energy`, eV."""
    index = tl.program_id(0)
    row = tl.load(rows + index).to(tl.int64)
    step = tl.load(numbers).to(REAL)
    number = tl.load(free + row)
    atom = tl.program_id(1) * ATOMS + tl.arange(0, ATOMS)
    there = atom < number
    here = site + (row * sites + atom) * 4
    x0 = tl.load(here, mask=there, other=0.0)
    y0 = tl.load(here + 1, mask=there, other=0.0)
    z0 = tl.load(here + 2, mask=there, other=0.0)
    species = tl.load(here + 3, mask=there, other=0.0).to(tl.int32) % elements
    near = tl.load(near_count + row * atoms + atom, mask=there, other=0)
    count = tl.load(all_count + row * atoms + atom, mask=there, other=0)
    own = tl.load(rise + row * owners + atom, mask=there, other=0.0).to(REAL)
    pairs = tl.zeros([ATOMS], tl.float64)
    fx = tl.zeros([ATOMS], tl.float64)
    fy = tl.zeros([ATOMS], tl.float64)
    fz = tl.zeros([ATOMS], tl.float64)
    most_near = tl.max(near, 0)
    for begin in range(0, tl.max(count, 0), SLOTS):
        k = begin + tl.arange(0, SLOTS)
        valid = k[None, :] < count[:, None]
        dx, dy, dz, square, code = _neighbors(
            row, atom, k, valid, site, listed, atoms, sites, slots, x0, y0, z0, REAL
        )
        distance = tl.sqrt(square)
        inverse = 1.0 / distance
        knot = (distance / step).to(tl.int32)
        way = distance - knot.to(REAL) * step
        other, owner = code % elements, code // elements
        place = (species[:, None] * elements + other) * intervals + knot
        value, slope = _cubic(table + 4, place, way, valid)
        phi = value * inverse
        shared = tl.where(owner < number, 0.5, 1.0)
        pairs += tl.sum(phi.to(tl.float64) * shared, 1)
        pull = (slope - phi) * inverse
        if begin < most_near:
            close = k[None, :] < near[:, None]
            _, slope = _cubic(table, place, way, close)
            theirs = tl.load(rise + row * owners + owner, mask=close, other=0.0).to(REAL)
            if SYMMETRIC:
                pull += (own[:, None] + theirs) * slope
            else:
                pull += own[:, None] * slope
                place = (other * elements + species[:, None]) * intervals + knot
                _, slope = _cubic(table, place, way, close)
                pull += theirs * slope
        pull = tl.where(valid, pull * inverse, 0.0)
        fx += tl.sum((pull * dx).to(tl.float64), 1)
        fy += tl.sum((pull * dy).to(tl.float64), 1)
        fz += tl.sum((pull * dz).to(tl.float64), 1)
    at = row * owners + atom
    tl.store(energy + at, tl.load(energy + at, mask=there, other=0.0) + pairs, mask=there)
    target = force + (index.to(tl.int64) * atoms + atom) * 3
    tl.store(target, fx, mask=there)
    tl.store(target + 1, fy, mask=there)
    tl.store(target + 2, fz, mask=there)


@triton.jit
def sum_energies(rows, count, energy, zero, total, owners, BLOCK: tl.constexpr):
    """The energy of a row, eV, relative to its start, block by block in the order of its atoms."""
    index = tl.program_id(0)
    row = tl.load(rows + index).to(tl.int64)
    number = tl.load(count + row)
    parts = tl.zeros([BLOCK], tl.float64)
    for begin in range(0, number, BLOCK):
        o = begin + tl.arange(0, BLOCK)
        parts += tl.load(energy + row * owners + o, mask=o < number, other=0.0)
    tl.store(total + index, tl.sum(parts, 0) - tl.load(zero + row))
