"""The vocabulary: every dataset, column and graph field, once, with shape and unit.

Energies are in eV, lengths in Å, forces in eV/Å, pressures in GPa, times in ps, temperatures in K.
"""

# Structures (extended XYZ)
POSITION = "position"  # (atoms, 3), Å, Cartesian
CELL = "cell"  # (3, 3), Å, rows are the lattice vectors
SPECIES = "species"  # (atoms,), atomic numbers

# Structures: keys of `atoms.info` of a glass
COMPOSITION = "composition"  # such as Cu64Zr36, atomic per cent
COOLING_RATE = "cooling_rate"  # K/s
SEED = "seed"
ENERGY_PER_ATOM = "energy_per_atom"  # eV, of the relaxed structure
DENSITY = "density"  # atoms/Å³
GROUP = "group"  # attribute, and in `atoms.info`: glasses that share it are copies of one
PRESSURE = "pressure"  # GPa, mean of the normal pressures
PRESSURE_ERROR = "pressure_error"  # GPa, largest deviation of a normal pressure from the wanted
POTENTIAL_ENERGY = "potential_energy"  # (atoms,), eV, of each atom

# <glass>.thermo.csv: one row a thermo interval; with DENSITY and PRESSURE
STAGE = "stage"  # melt or quench
STEP = "step"  # steps since the start
TIME = "time"  # ps since the start
TEMPERATURE = "temperature"  # K
ENERGY = "energy"  # eV/atom, potential

# shear.h5: columns of the curve (steps + 1,), and
STRAIN = "strain"  # γ, displacement along the plane's first axis over the height on its second
STRESS = "stress"  # stress_xx to stress_xy: Cauchy stress, GPa, tension positive
NON_AFFINE_STEP = "non_affine_step"  # (steps, atoms), Å², D²min over one step
SNAPSHOT_STRAIN = "snapshot_strain"  # (snapshots,), with POSITION (unwrapped) and CELL of each
SHEAR_PLANE = "shear_plane"  # attribute, and in `atoms.info` of the snapshots: xy, xz or yz
SHEAR_STRAIN = "shear_strain"  # in `atoms.info` of the snapshots
NON_AFFINE = "non_affine"  # (snapshots, atoms), Å², D²min since strain 0

# events.h5, group `events`: one row a search
EVENTS = "events"
ATOM = "atom"  # (searches,), index of the target atom in the structure
SEARCH = "search"  # (searches,), number of the search at its atom
STATUS = "status"  # (searches,), HDF5 enumeration, see barriers.protocol.Status
BARRIER = "barrier"  # events: (searches,); graphs: (atoms,); eV, NaN where there is none
CURVATURE = "curvature"  # (searches,), eV/Å², lowest eigenvalue of the Hessian at the saddle
FORCE_MAX = "force_max"  # (searches,), eV/Å, largest norm of an atom's force at the saddle
SECOND_CURVATURE = "second_curvature"  # (searches,), eV/Å², bound from above of the next one
FINAL_ENERGY = "final_energy"  # (searches,), eV, of the minimum that is further from the start
# (searches,), 1 where the start is one of the saddle's two minima, and both lie below the saddle
CONNECTED = "connected"
# (searches,), of connected events that move their target: the earlier search with this one, or -1
DUPLICATE_OF = "duplicate_of"
DISPLACEMENT_MAX = "displacement_max"  # (searches,), Å, largest of an atom, start to saddle
TARGET_DISPLACEMENT = "target_displacement"  # (searches,), Å, of the target, start to saddle
PUSHED_SHARE = "pushed_share"  # (searches,), of the moved atoms' squares that the pushed ones have
FORCE_EVALUATIONS = "force_evaluations"  # (searches,), force calls, and products with Hessians
SADDLE_EVALUATIONS = "saddle_evaluations"  # (searches,), of them until the saddle was found
LANCZOS_EVALUATIONS = "lanczos_evaluations"  # (searches,), of them for eigenvectors
REGION_BARRIER = "region_barrier"  # (searches,), eV, while the atoms outside the region were frozen
GROWN_BARRIER = "grown_barrier"  # (searches,), eV, in the largest region before all atoms were free
FULL_EVALUATIONS = "full_evaluations"  # (searches,), force calls of larger systems to its saddle
CHECK_EVALUATIONS = "check_evaluations"  # (searches,), theirs for second eigenvalue and both sides

# events.h5, group `atoms`: one row an atom of the structure
ATOMS = "atoms"
BARRIER_MEAN = "barrier_mean"  # (atoms,), eV, NaN where no search converged
BARRIER_STD = "barrier_std"  # (atoms,), eV, over the searches of an atom
SEARCHES = "searches"  # (atoms,), searches made
CONVERGED = "converged"  # (atoms,), searches that reached a saddle
MEAN_ERROR = "barrier_mean_error"  # (atoms,), eV, standard error of BARRIER_MEAN
COUNTED = "counted"  # (atoms,), confirmed searches that BARRIER_MEAN is of; so for every label

# graphs.h5: a group a glass
# It also has POSITION, CELL, SPECIES and BARRIER, and BARRIER_STD, SEARCHES, CONVERGED and
# COUNTED where the labels come from searches.
EDGE_INDEX = "edge_index"  # (2, edges), source and target atoms, sorted by target
EDGE_VECTOR = "edge_vector"  # (edges, 3), Å, source -> target
PUBLISHED_ENERGY = "energy"  # (atoms,), eV, potential energy of each atom as published
PUBLISHED_PRESSURE = "published_pressure"  # (atoms,), local pressure as published, unit not stated
INPUTS = "inputs"  # group of a glass, per-atom inputs of models by name, (atoms, n)
LABEL = "label"  # attribute of the file, and of what is predicted: the events' dataset in BARRIER
POTENTIAL = "potential"  # attribute of the file: what the inputs were computed with
POTENTIAL_SHA256 = "potential_sha256"
INPUT_VERSIONS = "input_versions"  # attribute of the file: JSON, version of each input's numbers
INPUT_ELEMENTS = "input_elements"  # attribute of the file: atomic numbers, order of the inputs
SPLIT = "split"  # attribute of a glass: train, validation or test

# explanation.h5: the structure's `position`, `cell`, `species`, `edge_index` and `edge_vector` at
# the top, and a group an explained atom, named after its index, with the atom's receptive field
FIELD_ATOM = "field_atom"  # (atoms of the field,), index in the structure
HOP = "hop"  # (atoms of the field,), steps along edges to the explained atom
RELATIVE_POSITION = "relative_position"  # (atoms of the field, 3), Å, nearest image, from the atom
ATOM_IMPORTANCE = "atom_importance"  # (atoms of the field,), half the sum over its edges, or exact
EDGE = "edge"  # (edges of the field,), column of edge_index
IMPORTANCE = "importance"  # (edges of the field,), by method; NaN where not computed
PREDICTION = "prediction"  # attribute of an atom, eV, the model's barrier

# events.h5, group `atoms`: also barrier_mean_controlled, _all, _pushed, _single, _target and
# _connected, the means that `barriers.labels.label_means` defines, and of how many converged
# searches they are, counted_controlled and so on; barrier_mean is the one named by attribute
# `label`.

# events.h5, group `region`: one row a search that ended in the region around its target, with ATOM,
# SEARCH (counted from 0 for themselves), STATUS, FORCE_EVALUATIONS and BARRIER, there the region's
REGION = "region"

# events.h5, group `moved`: atoms that go further than 0.1 Å, search after search
MOVED = "moved"
MOVED_START = "moved_start"  # (searches + 1,), rows of search k are [k] to [k + 1]
MOVED_ATOMS = "moved_atoms"  # (moved,), indices in the structure
SADDLE_DISPLACEMENT = "saddle_displacement"  # (moved, 3), Å, from the start to the saddle
FINAL_DISPLACEMENT = "final_displacement"  # (moved, 3), Å, to the far minimum; 0 if not reached

# predictions.h5 of a trained model: a group a glass, with BARRIER and the attribute SPLIT
PREDICTED = "predicted"  # (atoms,), eV
DATA_HASH = "data_hash"  # attribute: of the graphs, labels and split that the model was trained on

# Predicted structures: BARRIER; in `atoms.info` LABEL, DATA_HASH (one a model), and
MODEL = "model"  # name of each model
VERSIONS = "versions"  # of the packages that predicted, as ASE's JSON
SEARCHES_PER_ATOM = "searches_per_atom"  # where the model takes what they find
WARNINGS = "warnings"  # outside of the training glasses in what; left out if in nothing
# and with validation glasses, and with an ensemble
BARRIER_ERROR = "barrier_error"  # (atoms,), eV, standard error of a predicted barrier
BARRIER_SPREAD = "barrier_spread"  # (atoms,), eV, standard deviation over the models
