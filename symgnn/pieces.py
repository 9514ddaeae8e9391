"""A large structure in pieces that are compact in space."""

from collections.abc import Callable

import numpy as np

Done = Callable[[float], None]  # is told of how many more atoms the work is done


def unwatched(atoms: float) -> None:
    """For work whose progress nobody wants to see."""


def divide(positions: np.ndarray, cell: np.ndarray, most: int) -> list[np.ndarray]:
    """Indices of the atoms of each piece, ascending, and as many as in the others within one.

    A piece is halved across its longest side, in the cell's coordinates, until it is small enough.

    Args:
        positions: (atoms, 3), Å.
        cell: (3, 3), Å.
        most: atoms of a piece.
    """
    fractional = positions @ np.linalg.inv(cell)
    place = (fractional - np.floor(fractional)) * np.linalg.norm(cell, axis=1)
    pieces, wanted = [np.arange(len(place))], -(-len(place) // most)
    while len(pieces) < wanted or max(len(piece) for piece in pieces) > most:
        largest = pieces.pop(int(np.argmax([len(piece) for piece in pieces])))
        side = int(np.ptp(place[largest], axis=0).argmax())
        order = largest[np.argsort(place[largest, side], kind="stable")]
        half = len(order) // 2
        pieces += [np.sort(order[:half]), np.sort(order[half:])]
    return pieces
