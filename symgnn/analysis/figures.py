"""What a glass physicist asks of a glass, as numbers: structure, transition, crystals."""

import numpy as np
from ase import Atoms

from symgnn import fields
from symgnn.analysis.coordination import coordination_numbers, first_minimum
from symgnn.analysis.crystallinity import crystalline_share, crystallised
from symgnn.analysis.radial import first_peak, radial_distribution
from symgnn.analysis.transition import glass_transition
from symgnn.analysis.voronoi import ICOSAHEDRON, commonest_indices, voronoi_indices


def analyse(glass: Atoms, record: dict[str, np.ndarray] | None = None) -> dict[str, object]:
    """Numbers that describe a glass, ready for JSON.

    Args:
        glass: relaxed structure; figures in its `info` are passed on.
        record: columns of its thermodynamic record, where there is one.

    Returns:
        Names of `fields` and: `radial` (g(r) of each pair with its first peak and minimum),
        `coordination` by pair, `icosahedra` (share of <0,0,12,0>, of all and by element),
        `voronoi` (the commonest indices), `crystalline_share`, `crystallised`, and
        `glass_transition` (K, None without a kink).
    """
    radial = radial_distribution(glass)
    indices = voronoi_indices(glass)
    full = (indices == ICOSAHEDRON).all(axis=1)
    symbols = np.array(glass.get_chemical_symbols())
    share = crystalline_share(glass)
    numbers = coordination_numbers(glass, radial)
    return _passed_on(glass) | {
        fields.ATOMS: len(glass),
        fields.DENSITY: float(len(glass) / glass.get_volume()),
        "radial": {"-".join(p): _curve(radial.distance, g) for p, g in radial.partial.items()},
        "coordination": {"-".join(p): number for p, number in numbers.items()},
        "icosahedra": {"all": float(full.mean())}
        | {str(s): float(full[symbols == s].mean()) for s in np.unique(symbols)},
        "voronoi": [
            {"index": list(index), "share": part} for index, part in commonest_indices(indices)
        ],
        "crystalline_share": share,
        "crystallised": crystallised(share),
        "glass_transition": _transition(record),
    }


PASSED_ON = (
    fields.COMPOSITION,
    fields.COOLING_RATE,
    fields.SEED,
    fields.ENERGY_PER_ATOM,
    fields.FORCE_MAX,
    fields.PRESSURE,
    fields.PRESSURE_ERROR,
    fields.SHEAR_STRAIN,
)


def _passed_on(glass: Atoms) -> dict[str, object]:
    values = {key: glass.info[key] for key in PASSED_ON if key in glass.info}
    return {key: value.item() if hasattr(value, "item") else value for key, value in values.items()}


def _curve(distance: np.ndarray, g: np.ndarray) -> dict[str, object]:
    position, height = first_peak(distance, g)
    return {
        "peak_position": position,
        "peak_height": height,
        "first_minimum": first_minimum(distance, g),
        "distance": distance.round(6).tolist(),
        "g": g.round(6).tolist(),
    }


def _transition(record: dict[str, np.ndarray] | None) -> float | None:
    if record is None or fields.STAGE not in record:
        return None
    cooling = record[fields.STAGE] == "quench"
    kink = glass_transition(record[fields.TEMPERATURE][cooling], record[fields.ENERGY][cooling])
    return None if kink is None else float(kink.temperature)
