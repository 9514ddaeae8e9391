"""Melt-quench: relaxed as promised, reproducible, restartable to the last bit, safe."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matscipy.calculators.eam import EAM
from typer.testing import CliRunner

from symgnn.cli import app
from symgnn.errors import InputError, SimulationError, TimeBudgetReached
from symgnn.glasses.protocol import quench_steps
from symgnn.glasses.quench import melt_quench
from symgnn.glasses.restarts import restart_folder
from symgnn.glasses.start import melt_density, random_start
from symgnn.potentials import find_potential, species_counts
from symgnn.progress import TimeBudget
from symgnn.structures import check_structure, read_structure

FAST = {"melt_time": 0.2, "melt_temperature": 1500.0, "final_temperature": 900.0}
KEYWORDS = dict(composition="Cu64Zr36", atoms=100, cooling_rate=1e15, seed=3, **FAST)


def command(potential, output, **keywords):
    options = [f"--{key.replace('_', '-')}={value}" for key, value in keywords.items()]
    return ["quench", *options, f"--potential={potential}", "-o", str(output)]


@pytest.fixture(scope="module")
def made(potential, tmp_path_factory):
    path = tmp_path_factory.mktemp("quench") / "glass.xyz"
    result = CliRunner().invoke(app, command(potential, path, **KEYWORDS))
    assert result.exit_code == 0, result.output
    return path


def test_glass_is_an_inherent_structure(made, potential):
    """Judged by matscipy on the file, not by what LAMMPS said: 1e-4 eV/Å and 1 MPa."""
    glass = read_structure(made)
    glass.calc = EAM(str(potential), kind="eam/fs")
    assert np.linalg.norm(glass.get_forces(), axis=1).max() < 1e-4
    assert np.abs(np.diag(glass.get_stress(voigt=False))).max() * 160.2177 < 1e-3
    assert glass.get_potential_energy() / 100 == pytest.approx(
        glass.info["energy_per_atom"], abs=1e-6
    )
    assert glass.arrays["potential_energy"].mean() == pytest.approx(
        glass.info["energy_per_atom"], abs=1e-8
    )


def test_file_says_what_was_done(made):
    glass = read_structure(made)
    info = glass.info
    assert glass.symbols.formula.count() == {"Cu": 64, "Zr": 36}
    assert (info["composition"], info["cooling_rate"], info["seed"]) == ("Cu64Zr36", 1e15, 3)
    assert info["density"] == pytest.approx(100 / glass.get_volume(), rel=1e-7)
    assert info["force_max"] < 1e-4
    assert abs(info["pressure"]) <= info["pressure_error"] < 1e-3
    assert json.loads(info["protocol"])["melt_time"] == 0.2
    assert not restart_folder(made).exists()


def test_record_follows_the_protocol(made):
    with open(made.with_suffix(".thermo.csv"), newline="") as stream:
        rows = list(csv.DictReader(stream))
    steps = [int(row["step"]) for row in rows]
    assert steps == [*range(10, 801, 10)]
    assert [row["stage"] for row in rows] == ["melt"] * 20 + ["quench"] * 60
    temperature = np.array([float(row["temperature"]) for row in rows])
    # after the thermostat's lag the temperature falls by the rate, 10 K a row; 100 atoms
    # fluctuate by 8 % (100 K), which makes the slope of 40 rows uncertain by about 1.4 K a row
    slope = np.polyfit(np.arange(40), temperature[40:], 1)[0]
    assert slope == pytest.approx(-10, abs=4)


def test_same_seed_makes_the_same_bytes_and_another_seed_another_glass(made, potential, tmp_path):
    again, other = tmp_path / "glass.xyz", tmp_path / "other.xyz"
    CliRunner().invoke(app, command(potential, again, **KEYWORDS))
    CliRunner().invoke(app, command(potential, other, **KEYWORDS | {"seed": 4}))
    assert again.read_bytes() == made.read_bytes()
    assert again.with_suffix(".thermo.csv").read_bytes() == (
        made.with_suffix(".thermo.csv").read_bytes()
    )
    assert other.read_bytes() != made.read_bytes()


def test_stopped_run_continues_the_same_trajectory_bit_for_bit(potential, tmp_path):
    """Stopped after every restart file, in the melt, at its end and in the quench."""
    keywords = KEYWORDS | {"potential": find_potential(potential), "restart_interval": 170}
    whole, rows = melt_quench(output=tmp_path / "whole.xyz", **keywords)
    stops = 0
    while True:
        try:
            pieces, piece_rows = melt_quench(
                output=tmp_path / "pieces.xyz", time_budget=TimeBudget(0), **keywords
            )
            break
        except TimeBudgetReached:
            stops += 1
            assert len(list(restart_folder(tmp_path / "pieces.xyz").glob("*.restart"))) == 1
    assert stops == 6  # restart files at 170, 200 (the melt's end), 340, 510, 680, 800
    assert [[str(v) for v in row.values()] for row in piece_rows] == (
        [[str(v) for v in row.values()] for row in rows]
    )
    np.testing.assert_array_equal(pieces.positions, whole.positions)
    np.testing.assert_array_equal(pieces.cell.array, whole.cell.array)


def test_state_of_another_protocol_is_not_continued(potential, tmp_path):
    keywords = KEYWORDS | {"potential": find_potential(potential), "restart_interval": 200}
    output = tmp_path / "glass.xyz"
    with pytest.raises(TimeBudgetReached):
        melt_quench(output=output, time_budget=TimeBudget(0), **keywords)
    other = keywords | {"seed": 5}
    with pytest.raises(TimeBudgetReached):
        melt_quench(output=output, time_budget=TimeBudget(0), **other)
    assert [path.name for path in restart_folder(output).glob("*.restart")] == ["step-200.restart"]
    assert '\\"seed\\": 5' in (restart_folder(output) / "signature.json").read_text()


@pytest.mark.parametrize("atoms", [1, 2, 60, 400])
def test_random_start_has_no_overlaps(atoms):
    counts = {"Cu": atoms}
    density = melt_density(counts)
    start = random_start(counts, density, 1)
    check_structure(start)
    assert atoms / start.get_volume() == pytest.approx(density)
    if atoms > 1:
        distances = start.get_all_distances(mic=True)[np.triu_indices(atoms, 1)]
        assert distances.min() >= 0.7 * density ** (-1 / 3)
    assert start.positions == pytest.approx(random_start(counts, density, 1).positions, abs=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"composition": "Cu64Zr"}, "composition"),
        ({"composition": "Cu64Zr30"}, "sum"),
        ({"composition": "Cu64Al36"}, "Al"),
        ({"atoms": 0}, "atoms"),
        ({"atoms": -5}, "atoms"),
        ({"atoms": 30}, "cutoff"),
        ({"cooling_rate": 0.0}, "cooling_rate"),
        ({"cooling_rate": -1e13}, "cooling_rate"),
        ({"cooling_rate": float("nan")}, "cooling_rate"),
        ({"cooling_rate": 1e17}, "steps"),
        ({"cooling_rate": 4.87e15}, "whole steps"),
        ({"melt_time": -1.0}, "melt_time"),
        ({"timestep": 0.0}, "timestep"),
        ({"final_temperature": 1600.0}, "final_temperature"),
        ({"restart_interval": 0}, "restart_interval"),
        ({"thermo_interval": -3}, "thermo_interval"),
        ({"seed": -1}, "seed"),
        ({"start_density": 0.4}, "start_density: 0.4 .* overlap"),
        ({"start_density": -0.06}, "start_density"),
        ({"suffix": "nonsense"}, "suffix"),
        ({"suffix": "kk"}, "suffix: .kk.*without KOKKOS package"),
        ({"package": ("nonsense 2",)}, "package.*Unknown package keyword: nonsense"),
        ({"package": ("omp two",)}, "package.*'two'"),
        ({"kokkos": "on g 1"}, "kokkos.*without KOKKOS installed"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(potential, tmp_path, change, message):
    keywords = KEYWORDS | {"potential": find_potential(potential)} | change
    with pytest.raises(InputError, match=message) as error:
        melt_quench(output=tmp_path / "glass.xyz", **keywords)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_run_that_explodes_is_named_and_leaves_no_glass(potential, tmp_path):
    keywords = KEYWORDS | {"timestep": 60.0, "melt_time": 60.0, "cooling_rate": 1e13}
    with pytest.raises(SimulationError, match=r"melt: (exploded|the box|before step)"):
        melt_quench(potential=find_potential(potential), output=tmp_path / "glass.xyz", **keywords)
    assert not (tmp_path / "glass.xyz").exists()


def test_vapour_is_found(potential, tmp_path):
    keywords = KEYWORDS | {"melt_temperature": 9000.0, "melt_time": 20.0, "cooling_rate": 1e16}
    with pytest.raises(SimulationError, match="burst"):
        melt_quench(potential=find_potential(potential), output=tmp_path / "glass.xyz", **keywords)


def test_steps_of_the_papers_rates():
    assert quench_steps(2000, 1, 1e14, 1.0) == 19_990
    assert quench_steps(2000, 1, 1e10, 1.0) == 199_900_000
    assert quench_steps(1500, 900, 6e15, 1.0) == 100  # 99.99999999999999 in floating point


def test_counts_of_species_sum_to_the_atoms():
    assert species_counts("Cu64Zr36", 3000) == {"Cu": 1920, "Zr": 1080}


def test_two_ranks_stop_and_continue_the_same_trajectory(potential, tmp_path):
    """Under mpiexec of the mpich wheel: exit 75 at the budget, then the bytes of a whole run."""
    mpiexec = Path(sys.executable).with_name("mpiexec")
    if not mpiexec.exists():
        pytest.skip("no mpiexec beside this Python")
    keywords = KEYWORDS | {"melt_time": 0.1, "final_temperature": 1400.0, "restart_interval": 100}

    def run(output: Path, **more) -> int:
        ranks = [mpiexec, "-n", "2", sys.executable, "-m", "symgnn.cli"]
        line = [*ranks, *command(potential, output, **keywords, **more)]
        return subprocess.run(line, capture_output=True, timeout=300).returncode

    assert run(tmp_path / "whole.xyz") == 0
    assert run(tmp_path / "pieces.xyz", time_budget=0.001) == 75
    assert not (tmp_path / "pieces.xyz").exists()
    assert run(tmp_path / "pieces.xyz") == 0
    for suffix in (".xyz", ".thermo.csv"):
        whole, pieces = (tmp_path / f"{name}{suffix}" for name in ("whole", "pieces"))
        assert pieces.read_bytes() == whole.read_bytes()
    assert not restart_folder(tmp_path / "pieces.xyz").exists()
