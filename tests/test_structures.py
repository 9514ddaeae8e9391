"""A structure that cannot be worked on is refused with one line; what is written is read again."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write

from symgnn.errors import InputError
from symgnn.structures import read_structure, structure_hash, write_structure


def crystal() -> Atoms:
    return bulk("Cu", cubic=True).repeat(2)


def test_what_is_written_is_read_again(tmp_path) -> None:
    atoms = crystal()
    atoms.rattle(0.1, seed=1)
    atoms.info["seed"] = 3
    path = tmp_path / "glass.xyz"
    write_structure(path, atoms)
    read = read_structure(path)
    np.testing.assert_allclose(read.positions, atoms.positions, atol=1e-8)
    assert read.info["seed"] == 3
    write_structure(tmp_path / "again.xyz", read)
    assert structure_hash(read_structure(tmp_path / "again.xyz")) == structure_hash(read)


def test_the_hash_sees_species_cell_and_positions() -> None:
    base = crystal()
    moved, larger, other = base.copy(), base.copy(), base.copy()
    moved.positions[0, 0] += 1e-8
    larger.set_cell(base.cell.array * (1 + 1e-9))
    other.numbers[3] = 40
    assert len({structure_hash(a) for a in (base, moved, larger, other)}) == 4


def spoiled(change) -> Atoms:
    atoms = crystal()
    change(atoms)
    return atoms


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.set_pbc(False), "periodic in"),
        (lambda a: a.set_cell(np.zeros((3, 3))), "no cell"),
        (lambda a: a.positions.__setitem__((5, 1), np.nan), "position of atom 5"),
        (lambda a: a.positions.__setitem__(4, a.positions[9] + 0.3), "atoms 4 and 9 overlap"),
        (lambda a: a.numbers.__setitem__(2, 0), "atom 2 has no element"),
    ],
)
def test_a_spoiled_structure_is_refused(tmp_path, change, message) -> None:
    path = tmp_path / "bad.traj"  # ASE's own format keeps what others drop
    write(path, spoiled(change))
    with pytest.raises(InputError, match=message) as caught:
        read_structure(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_and_unreadable_files_are_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_structure(tmp_path / "absent.xyz")
    path = tmp_path / "torn.xyz"
    path.write_text("32\nLattice=\n")
    with pytest.raises(InputError, match=r"torn\.xyz: ASE cannot read it"):
        read_structure(path)
