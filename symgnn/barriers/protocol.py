"""How a search is made, and how it can end."""

from dataclasses import dataclass
from enum import IntEnum

# Searches that end in the region for each that is confirmed, where their number is not given.
REGION_SEARCHES = 4


class Status(IntEnum):
    """How a search ended."""

    CONVERGED = 0
    NOT_CONVERGED = 1  # no saddle within the allowed force calls
    LEFT_REGION = 2  # an atom went too far for the local region
    FAILED = 3  # forces were not finite
    NOT_CONFIRMED = 4  # a saddle of the region that the full periodic system does not have


@dataclass(frozen=True)
class Protocol:
    """The numbers that define a search. Lengths of steps are norms over all coordinates."""

    push_radius: float = 3.6  # Å, atoms pushed: those nearer to the target
    push_step: float = 0.3  # Å
    push_relaxations: int = 4  # perpendicular steps after a push, and most of them in a valley
    activation: float = -0.5  # eV/Å², eigenvalue below which a search climbs
    climb_step: float = 0.3  # Å, longest step along the eigenvector
    valley_step: float = 0.5  # Å, step along it in a valley, where its eigenvalue is positive
    second_valley_step: float = 0.1  # Å, the same in a second try to find a region's saddle again
    climb_relaxations: int = 20  # most perpendicular steps after a step along the eigenvector
    climb_balance: float = 1.0  # they end once the force across is below this share of that along
    least_relaxations: int = 4  # but not before these steps
    soft_curvature: float = 0.5  # eV/Å², bounds the step from below where the mode is flat
    force_tolerance: float = 0.05  # eV/Å, largest atomic force at the saddle of a region
    # eV/Å, the same when larger regions and then all atoms are free: many small forces of an
    # elastic field together hold a tenth of an electronvolt.
    full_tolerance: float = 0.01
    lanczos_vectors: int = 16
    lanczos_mixing: float = 0.3  # share of the push in the first vector before the climb
    push_vectors: int = 6  # most vectors before the climb and in a valley
    lanczos_tolerance: float = 0.01  # relative change of the eigenvalue at which it stands
    lanczos_resolution: float = 0.02  # eV/Å², change that is small enough while climbing
    lanczos_step: float = 0.005  # Å, of a difference of forces where the Hessian is not known
    # Lanczos vectors in search of a second negative eigenvalue: so many, and up to twice as many
    # until another one changes it by less than this share of it, or by this much.
    second_vectors: int = 64
    second_tolerance: float = 0.03
    second_resolution: float = 3e-4  # eV/Å²
    second_negative: float = -0.002  # eV/Å², a second eigenvalue below which this is no saddle
    second_step: float = 1e-3  # Å, as `lanczos_step`
    aside_step: float = 0.2  # Å, first step along the second mode, doubled until it leads uphill
    largest_aside: float = 1.6  # Å, where the doubling ends in any case
    asides: int = 3  # times that a search leaves a place with two negative eigenvalues
    aside_evaluations: int = 300  # most force calls from the first such place to a saddle
    saddle_evaluations: int = 1500  # most force calls on the way to a saddle
    minimum_tolerance: float = 0.005  # eV/Å, force at the two minima
    minimum_evaluations: int = 400  # most force calls to each minimum
    departure: float = 0.2  # Å, step off the saddle
    # Beside a soft saddle forces are as small as at a minimum, and a soft minimum may be the start:
    # while no atom is further from either than this, Å, forces have to be smaller still, eV/Å.
    beside: float = 0.3
    beside_tolerance: float = 5e-4
    same_minimum: float = 0.15  # Å, least atomic distance between different minima
    relaxation_step: float = 0.03  # Å²/eV, first step of a relaxation over the force
    descent_pairs: int = 8  # steps that a relaxation to a minimum remembers
    descent_stiffness: float = 1.0  # eV/Å², added to the Hessian that it makes of them
    largest_move: float = 0.15  # Å, of any atom in a relaxation step
