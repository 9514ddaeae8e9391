"""Potentials: the registry's are what they say; files of users; damaged ones."""

import shutil

import numpy as np
import pytest
from ase.build import bulk
from matscipy.calculators.eam import EAM

from symgnn.errors import InputError
from symgnn.lammps_interface import LammpsForces
from symgnn.potentials import check_elements, find_potential, registry


@pytest.mark.parametrize("name", sorted(registry()))
def test_registered_potential_is_there_and_runs(name):
    """Found, unaltered, with the elements registered, and LAMMPS agrees with matscipy on it."""
    entry, potential = registry()[name], find_potential(name)
    assert list(potential.elements) == entry["elements"]
    assert potential.style == entry["style"]
    assert entry["licence"]
    assert entry["citation"]
    atoms = bulk(potential.elements[0], "fcc", a=3.9, cubic=True).repeat(2)
    atoms.numbers[::3] = bulk(potential.elements[1], "fcc", a=4).numbers[0]
    atoms.rattle(0.05, seed=1)
    atoms.calc = EAM(str(potential.path), kind=potential.style)
    with LammpsForces(atoms, potential) as engine:
        energy, forces = engine.energy_and_forces(atoms.positions)
    # the codes interpolate the tables differently, by about 1e-5 on the coarsest of them
    assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-4 * len(atoms))
    assert forces == pytest.approx(atoms.get_forces(), abs=5e-3)


def test_registry_has_another_alloy_than_cu_zr():
    assert any("Zr" not in entry["elements"] for entry in registry().values())


def test_altered_file_of_a_registered_name_is_refused(potential, tmp_path):
    altered = tmp_path / potential.name
    altered.write_text(potential.read_text().replace("Cu", "Ag", 1))
    with pytest.raises(InputError, match="altered"):
        find_potential(altered)


def test_file_of_another_name_describes_itself(potential, tmp_path):
    shutil.copy(potential, tmp_path / "my own.eam.fs")
    found = find_potential(tmp_path / "my own.eam.fs")
    assert (found.elements, found.cutoff) == (("Cu", "Zr"), 7.6)
    atoms = bulk("Cu", cubic=True)
    with LammpsForces(atoms, found) as engine:  # LAMMPS takes a path with a blank
        assert np.isfinite(engine.energy_and_forces(atoms.positions)[0])


def test_other_styles_need_a_description(tmp_path):
    """Lennard-Jones, whose `pair_coeff` names no file, against ASE's own on the same crystal."""
    path = tmp_path / "argon.lj"
    path.write_text("none\n")
    with pytest.raises(InputError, match="style and elements"):
        find_potential(path)
    (tmp_path / "argon.lj.yaml").write_text(
        "style: lj/cut 8.5\nelements: [Ar]\ncoefficients: '* * 0.0104 3.4'\ncutoff: 8.5\n"
    )
    found = find_potential(path)
    atoms = bulk("Ar", "fcc", a=5.26, cubic=True).repeat(4)
    atoms.rattle(0.1, seed=2)
    from ase.calculators.lj import LennardJones

    atoms.calc = LennardJones(epsilon=0.0104, sigma=3.4, rc=8.5, smooth=False)
    with LammpsForces(atoms, found) as engine:
        _, forces = engine.energy_and_forces(atoms.positions)
    assert forces == pytest.approx(atoms.get_forces(), abs=1e-10)


def test_description_with_an_unknown_key_or_checksum_is_refused(tmp_path):
    path = tmp_path / "argon.lj"
    path.write_text("none\n")
    description = tmp_path / "argon.lj.yaml"
    description.write_text("style: lj/cut 8.5\nelement: [Ar]\n")
    with pytest.raises(InputError, match="keys"):
        find_potential(path)
    description.write_text("style: lj/cut 8.5\nelements: [Ar]\nsha256: abc\n")
    with pytest.raises(InputError, match="altered"):
        find_potential(path)


def test_unknown_name_and_unknown_element(potential):
    with pytest.raises(InputError, match="Ni-Al-H-1995"):
        find_potential("Cu-Zr-1066")
    with pytest.raises(InputError, match="element Fe"):
        check_elements(find_potential(potential), {"Cu", "Fe"})
