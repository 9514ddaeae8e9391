"""Figures of docs/glasses.md, from files of `symgnn analyse` and `symgnn shear`.

    python docs/glasses_figures.py FOLDER

FOLDER holds <glass>.json and <glass>.thermo.csv of the study, published-<name>.json of the
structures to compare with (analysed the same way), and <glass>.shear.h5. Needs matplotlib.
"""

import json
import sys
from pathlib import Path

import matplotlib
import numpy as np

from symgnn.analysis.record import read_record
from symgnn.analysis.trend import rate_trend
from symgnn.shear.plasticity import plastic_drops
from symgnn.shear.storage import read_shear

matplotlib.use("Agg")
import matplotlib.pyplot as plt

COLORS = {"ours": "#2f5d8a", "published": "#c77f1a"}
# Rates of the published structures are not stated; the order of their energies suggests these.
SUGGESTED_RATES = {"train4": 1e13, "train3": 1e12, "train2": 1e11, "train0": 1e10, "train1": 1e10}


def load(folder: Path) -> tuple[dict[str, dict], dict[str, dict]]:
    """Analyses of our glasses and of the published ones, by name."""
    every = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    published = {
        name.removeprefix("published-"): every.pop(name)
        for name in list(every)
        if name.startswith("published-")
    }
    return every, published


def draw_rates(ours: dict, published: dict, path: Path) -> None:
    """Energy, density and icosahedra against the cooling rate."""
    figure, panels = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
    keys = (
        ("energy, eV/atom", lambda one: one["energy_per_atom"]),
        ("density, atoms/Å³", lambda one: one["density"]),
        ("full icosahedra, %", lambda one: 100 * one["icosahedra"]["all"]),
    )
    for panel, (title, value) in zip(panels, keys, strict=True):
        panel.semilogx(
            [one["cooling_rate"] for one in ours.values()],
            [value(one) for one in ours.values()],
            "o",
            color=COLORS["ours"],
            alpha=0.7,
            label="ours",
        )
        rates = {name: SUGGESTED_RATES[name] for name in published if name in SUGGESTED_RATES}
        panel.semilogx(
            list(rates.values()),
            [value(published[name]) for name in rates],
            "s",
            color=COLORS["published"],
            label="published (suggested rate)",
        )
        panel.set(xlabel="cooling rate, K/s", ylabel=title)
    panels[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


def draw_radial(ours: dict, published: dict, path: Path) -> None:
    """Partial g(r): the mean of our slowest glasses and the published one of the fastest rate."""
    figure, panels = plt.subplots(1, 3, figsize=(10, 3.0), layout="constrained")
    slowest = min(one["cooling_rate"] for one in ours.values())
    chosen = [one for one in ours.values() if one["cooling_rate"] == slowest]
    for panel, pair in zip(panels, ("Cu-Cu", "Cu-Zr", "Zr-Zr"), strict=True):
        for label, group in (("ours", chosen), ("published", [published["train4"]])):
            distance = group[0]["radial"][pair]["distance"]
            g = np.mean([one["radial"][pair]["g"] for one in group], axis=0)
            panel.plot(distance, g, color=COLORS[label], lw=1.2, label=label)
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


def print_tables(folder: Path, ours: dict, published: dict) -> None:
    """The page's tables in Markdown."""
    for name, one in {**ours, **published}.items():
        peaks = [one["radial"][pair] for pair in ("Cu-Cu", "Cu-Zr", "Zr-Zr")]
        shells = [one["coordination"][pair] for pair in ("Cu-Cu", "Cu-Zr", "Zr-Cu", "Zr-Zr")]
        cells = [
            name,
            f"{one['atoms']}",
            f"{one['energy_per_atom']:.4f}",
            f"{one['density']:.5f}",
            *(f"{peak['peak_position']:.2f} / {peak['peak_height']:.2f}" for peak in peaks),
            " ".join(f"{number:.1f}" for number in shells),
            f"{100 * one['icosahedra']['all']:.1f}",
            f"{one['glass_transition']:.0f}" if one["glass_transition"] else "",
            "yes" if one["crystallised"] else "no",
        ]
        print("| " + " | ".join(cells) + " |")
    rate = np.array([one["cooling_rate"] for one in ours.values()])
    print("energy", rate_trend(rate, np.array([o["energy_per_atom"] for o in ours.values()])))
    print("density", rate_trend(rate, np.array([o["density"] for o in ours.values()])))
    for file in sorted(folder.glob("*.shear.h5")):
        curve = read_shear(file)
        drops = plastic_drops(curve.strain, curve.stress, curve.energy)
        print(file.name, len(drops), max(drop.stress for drop in drops), curve.stress.max())


def main() -> None:
    """Draw every figure beside this script and print the tables."""
    folder, docs = Path(sys.argv[1]), Path(__file__).parent
    ours, published = load(folder)
    draw_rates(ours, published, docs / "glasses-rates.png")
    draw_radial(ours, published, docs / "glasses-radial.png")
    draw_quench(folder, docs / "glasses-quench.png")
    if list(folder.glob("*.shear.h5")):
        draw_shear(folder, docs / "glasses-shear.png")
    print_tables(folder, ours, published)


if __name__ == "__main__":
    main()
