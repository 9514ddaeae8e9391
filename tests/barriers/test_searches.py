"""Searches of one structure: what they depend on, and on which forces they run."""

import numpy as np
import pytest
import torch
from ase import Atoms

from symgnn.barriers.artn import Artn, Phase
from symgnn.barriers.eam_engine import RegionEngine
from symgnn.barriers.lammps_engine import LammpsEngine
from symgnn.barriers.protocol import Protocol, Status
from symgnn.barriers.searches import Searches, push_generator


def test_pushes_depend_on_seed_structure_atom_and_search_only() -> None:
    base = push_generator(1, "s", 2, 3).normal(size=5)
    np.testing.assert_array_equal(base, push_generator(1, "s", 2, 3).normal(size=5))
    for other in ((2, "s", 2, 3), (1, "t", 2, 3), (1, "s", 3, 3), (1, "s", 2, 4)):
        assert not np.array_equal(base, push_generator(*other).normal(size=5))


def test_a_search_on_lammps_does_not_feel_the_others(relaxed: Atoms, cu_zr) -> None:
    """Also while their saddles are confirmed: the same bits alone and after others."""
    alone, after = (
        {event.atom: event for event in Searches(
            relaxed, LammpsEngine(relaxed, cu_zr), protocol=Protocol(), seed=1
        ).run([(atom, 0) for atom in atoms])}[8]
        for atoms in ([8], range(9))
    )  # fmt: skip
    for name, value in vars(alone).items():
        np.testing.assert_array_equal(getattr(after, name), value, err_msg=name)


def test_lammps_and_a_region_of_all_atoms_find_the_same_saddle(relaxed, cu_zr) -> None:
    """The reference engine against the compiled one, on the same atoms and pushes."""
    # LAMMPS's Hessian is by differences of forces, which longer steps make 3 % wrong
    exact = {"lanczos_step": 2e-4, "lanczos_tolerance": 1e-4, "lanczos_resolution": 1e-4}
    way = {"push_step": 0.5, "activation": -0.2, "climb_balance": 0.6}
    protocol = Protocol(force_tolerance=0.002, lanczos_vectors=40, **exact, **way)
    found = []
    for engine in (LammpsEngine(relaxed, cu_zr), RegionEngine(relaxed, cu_zr, radius=20.0)):
        searches = Searches(relaxed, engine, protocol=protocol, seed=1)
        found.append(sorted(searches.run([(8, 0), (8, 1)]), key=lambda event: event.search))
    for reference, compiled in zip(*found, strict=True):
        assert reference.status == compiled.status == 0
        # both are within F²/2k of the saddle, and F/k, some 0.02 Å, from its place
        assert compiled.barrier == pytest.approx(reference.barrier, abs=1e-3)
        assert compiled.curvature == pytest.approx(reference.curvature, rel=0.04)


def test_a_search_that_climbs_pushes_no_more(relaxed, cu_zr, monkeypatch) -> None:
    # Relaxation across the eigenvector can lead back to positive eigenvalues; pushes along the
    # first direction would then have to find the way out anew.
    seen: set[tuple[bool, bool]] = set()  # climbs, eigenvalue positive

    def advance(artn: Artn, rows: torch.Tensor, eigenvector: torch.Tensor) -> None:
        climbed = artn._climbs[rows].clone()
        original(artn, rows, eigenvector)
        assert not (climbed & (artn.phase[rows] == Phase.PUSHED)).any()
        positive = artn.curvature[rows] >= 0.0
        seen.update(zip(climbed.tolist(), positive.tolist(), strict=True))

    original = Artn._advance
    monkeypatch.setattr(Artn, "_advance", advance)
    engine = RegionEngine(relaxed, cu_zr, radius=5.0)
    searches = Searches(relaxed, engine, protocol=Protocol(), seed=1, check=False)
    events = list(searches.run([(atom, 0) for atom in range(8)]))
    assert (True, True) in seen
    assert sum(event.status == Status.CONVERGED for event in events) >= 7


def test_no_more_are_under_way_than_asked_for(relaxed, cu_zr) -> None:
    """So that ranks share few searches evenly; what is found does not change."""
    tasks = [(atom, 0) for atom in range(5)]
    found = []
    for most in (None, 2):
        engine = RegionEngine(relaxed, cu_zr, radius=5.0)
        searches = Searches(relaxed, engine, protocol=Protocol(), seed=1, check=False)
        under_way = []
        between = lambda: under_way.append(len(searches.searching))  # noqa: B023, E731
        events = searches.run(tasks, most=most, between=between)
        found.append(sorted(events, key=lambda event: event.atom))
        assert max(under_way) == (most or len(tasks))
    for one, other in zip(*found, strict=True):
        for name, value in vars(one).items():
            np.testing.assert_array_equal(getattr(other, name), value, err_msg=name)
