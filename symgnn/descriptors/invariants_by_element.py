"""The hand-made invariants with means over each element by itself, for the ridge regression.

On the published glasses they raise its correlation on left-out graphs from 0.66 to 0.69; to the
model `response` they bring nothing that the means over all atoms do not.
"""

from functools import partial

from symgnn.descriptors import invariants

VERSION = invariants.VERSION
size = partial(invariants.size, by_element=True)
features = partial(invariants.features, by_element=True)
