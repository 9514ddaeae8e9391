"""Figures of docs/glasses.md, from files of `symgnn analyse` and `symgnn shear`.

    python docs/glasses_figures.py FOLDER

FOLDER holds <glass>.json and <glass>.thermo.csv of the study, published-train4.json (that structure
described by `symgnn analyse` too), and <glass>.shear.h5. Needs matplotlib.
"""

import json
import sys
from pathlib import Path

import matplotlib
import numpy as np

from symgnn.analysis.radial import first_peak
from symgnn.analysis.record import read_record
from symgnn.analysis.trend import rate_trend
from symgnn.report.references import read_references
from symgnn.shear.plasticity import plastic_drops, shear_modulus
from symgnn.shear.storage import read_shear

matplotlib.use("Agg")
import matplotlib.pyplot as plt

COLORS = {"ours": "#2f5d8a", "published": "#c77f1a"}
PAIRS = ("Cu-Cu", "Cu-Zr", "Zr-Zr")
LIKE_TRAIN4 = 1e13  # K/s, the rate that its energy suggests


def load(folder: Path) -> tuple[dict[str, dict], dict]:
    """Analyses of our glasses by name, and of the published train4."""
    every = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    return every, every.pop("published-train4")


def draw_rates(ours: dict, path: Path) -> None:
    """Energy, density and icosahedra against the cooling rate."""
    figure, panels = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
    keys = (
        ("energy, eV/atom", "energy_per_atom", 1),
        ("density, atoms/Å³", "density", 1),
        ("full icosahedra, %", "icosahedra", 100),
    )
    published = [one for one in read_references() if np.isfinite(one.rate)]
    rates = [one.rate for one in published]
    for panel, (title, key, scale) in zip(panels, keys, strict=True):
        values = [one[key]["all"] if key == "icosahedra" else one[key] for one in ours.values()]
        panel.semilogx(
            [one["cooling_rate"] for one in ours.values()],
            scale * np.array(values),
            "o",
            color=COLORS["ours"],
            alpha=0.7,
            label="ours",
        )
        panel.semilogx(
            rates,
            [scale * getattr(one, key) for one in published],
            "s",
            color=COLORS["published"],
            label="published (suggested rate)",
        )
        panel.set(xlabel="cooling rate, K/s", ylabel=title)
    panels[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


def mean_curve(glasses: list[dict], pair: str) -> tuple[np.ndarray, np.ndarray]:
    """Distances and the mean g(r) of a pair, each glass by its number of atoms."""
    weights = [one["atoms"] for one in glasses]
    g = np.average([one["radial"][pair]["g"] for one in glasses], axis=0, weights=weights)
    return np.array(glasses[0]["radial"][pair]["distance"]), g


def draw_radial(ours: dict, train4: dict, path: Path) -> None:
    """Partial g(r): the mean of our glasses of train4's rate, and train4's."""
    figure, panels = plt.subplots(1, 3, figsize=(10, 3.0), layout="constrained")
    chosen = [one for one in ours.values() if one["cooling_rate"] == LIKE_TRAIN4]
    for panel, pair in zip(panels, PAIRS, strict=True):
        for label, group in (("ours", chosen), ("published", [train4])):
            panel.plot(*mean_curve(group, pair), color=COLORS[label], lw=1.2, label=label)
        panel.set(xlabel=f"r, Å ({pair})", ylabel="g(r)", xlim=(2, 8))
    panels[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


def draw_quench(folder: Path, path: Path) -> None:
    """Temperature, pressure, density and energy along the quenches."""
    figure, panels = plt.subplots(2, 2, figsize=(8, 5), layout="constrained")
    keys = ("temperature", "pressure", "density", "energy")
    titles = ("temperature, K", "pressure, GPa", "density, atoms/Å³", "energy, eV/atom")
    for record in (read_record(path) for path in sorted(folder.glob("*.thermo.csv"))):
        cooling = record["stage"] == "quench"
        for panel, key, title in zip(panels.flat, keys, titles, strict=True):
            x = record["time"] if key in ("temperature", "pressure") else record["temperature"]
            shown = cooling if key in ("density", "energy") else slice(None)
            panel.plot(x[shown], record[key][shown], lw=0.7, alpha=0.8)
            panel.set(
                xlabel="time, ps" if key in ("temperature", "pressure") else "temperature, K",
                ylabel=title,
            )
    figure.savefig(path, dpi=110)


def draw_shear(folder: Path, path: Path) -> None:
    """Stress against strain, and the largest D²min of each step."""
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for file in sorted(folder.glob("*.shear.h5")):
        curve = read_shear(file)
        panels[0].plot(curve.strain, curve.stress, lw=1, label=file.name.split(".")[0])
        panels[1].semilogy(curve.strain[1:], curve.non_affine_step.max(axis=1), lw=0.8)
    panels[0].set(xlabel="shear strain", ylabel="shear stress, GPa")
    panels[1].set(xlabel="shear strain", ylabel="largest D²min of a step, Å²")
    panels[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


def print_row(name: str, atoms: int, *figures: str) -> None:
    print("| " + " | ".join([name, f"{atoms:,}", *figures]) + " |")


def print_glasses(ours: dict) -> None:
    """The page's table in Markdown: our glasses, then the published structures."""
    for name, one in ours.items():
        peaks = [one["radial"][pair] for pair in PAIRS]
        shells = [one["coordination"][pair] for pair in ("Cu-Cu", "Cu-Zr", "Zr-Cu", "Zr-Zr")]
        print_row(
            name,
            one["atoms"],
            f"{one['energy_per_atom']:.4f}",
            f"{one['density']:.5f}",
            *(f"{peak['peak_position']:.2f} / {peak['peak_height']:.2f}" for peak in peaks),
            " ".join(f"{number:.1f}" for number in shells),
            f"{100 * one['icosahedra']['all']:.1f}",
            f"{one['glass_transition']:.0f}" if one["glass_transition"] else "",
            f"{one['force_max']:.1e} {1000 * one['pressure_error']:.2f}",
        )
        if one["crystallised"]:
            print(f"{name} has crystallised")
    for one in sorted(read_references(), key=lambda one: -one.energy_per_atom):
        shells = [
            one.coordination[tuple(p.split("-"))] for p in ("Cu-Cu", "Cu-Zr", "Zr-Cu", "Zr-Zr")
        ]
        print_row(
            f"published {one.name}",
            one.atoms,
            f"{one.energy_per_atom:.4f}",
            f"{one.density:.5f}",
            *("{:.2f} / {:.2f}".format(*one.peaks[tuple(pair.split("-"))]) for pair in PAIRS),
            " ".join(f"{number:.1f}" for number in shells),
            f"{100 * one.icosahedra:.1f}",
        )


def print_checks(ours: dict, train4: dict) -> None:
    """Means by rate, trends by decade, and the first peaks beside train4's."""
    for rate in sorted({one["cooling_rate"] for one in ours.values()}):
        energies = [o["energy_per_atom"] for o in ours.values() if o["cooling_rate"] == rate]
        print(f"{rate:g} K/s: {np.mean(energies):.5f} ± {np.std(energies, ddof=1):.5f} eV/atom")
    rate = np.array([one["cooling_rate"] for one in ours.values()])
    for key in ("energy_per_atom", "density"):
        print(key, rate_trend(rate, np.array([one[key] for one in ours.values()])))
    alike = [one for one in ours.values() if one["cooling_rate"] == LIKE_TRAIN4]
    largest = [max(alike, key=lambda one: one["atoms"])]
    for label, group in (("mean of the rate", alike), ("largest glass", largest)):
        for pair in PAIRS:
            position, height = first_peak(*mean_curve(group, pair))
            theirs, their_height = first_peak(*mean_curve([train4], pair))
            print(
                f"{label}, {pair}: {position:.3f} - {theirs:.3f} = {position - theirs:+.3f} Å, "
                f"{height:.2f} / {their_height:.2f} = {100 * (height / their_height - 1):+.1f} %"
            )


def print_shear(folder: Path) -> None:
    """Modulus, largest stress and drops of each sheared glass."""
    for file in sorted(folder.glob("*.shear.h5")):
        curve = read_shear(file)
        drops = plastic_drops(curve.strain, curve.stress, curve.energy)
        print(
            f"{file.name}: modulus {shear_modulus(curve.strain, curve.stress):.1f} GPa, largest "
            f"stress {curve.stress.max():.2f} GPa at {curve.strain[curve.stress.argmax()]:.3f}, "
            f"{len(drops)} drops, the largest {max(drop.stress for drop in drops):.2f} GPa"
        )


def main() -> None:
    """Draw every figure beside this script and print the tables."""
    folder, docs = Path(sys.argv[1]), Path(__file__).parent
    ours, train4 = load(folder)
    draw_rates(ours, docs / "glasses-rates.png")
    draw_radial(ours, train4, docs / "glasses-radial.png")
    draw_quench(folder, docs / "glasses-quench.png")
    if list(folder.glob("*.shear.h5")):
        draw_shear(folder, docs / "glasses-shear.png")
    print_glasses(ours)
    print_checks(ours, train4)
    print_shear(folder)


if __name__ == "__main__":
    main()
