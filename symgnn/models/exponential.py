"""The exponential function in compiled loops, in vector instructions for single precision.

The machine's own is called for one number at a time, and a loop that calls it is not made of vector
instructions.
"""

import math

import numpy as np
from numba import types
from numba.extending import overload

# exp(x) is 2^(n + f), n whole and |f| at most 1/2. 2^f is a polynomial, fitted at Chebyshev's
# points, and 2^n has n in the bits of a number's exponent. The largest error is 2e-7 of the number
# near 0, and 1e-6 where |x| is 20, which x itself, in single precision, does not know better.
POLYNOMIAL = tuple(
    np.float32(c)
    for c in (
        1.0,
        0.693147182,
        0.240226492,
        0.0555033247,
        0.00961843729,
        0.00133988739,
        0.0001535336,
    )
)
PER_OCTAVE = np.float32(1 / math.log(2))
LARGEST = np.float32(126)  # octaves: infinity and zero are out of reach


def exponential(x):
    """exp(x) of a number, in a compiled loop."""
    raise NotImplementedError("for compiled loops")


def _single(x):
    octaves = min(max(x * PER_OCTAVE, -LARGEST), LARGEST)
    whole = np.floor(octaves + np.float32(0.5))
    part = octaves - whole
    c0, c1, c2, c3, c4, c5, c6 = POLYNOMIAL
    value = c6 * part + c5
    value = value * part + c4
    value = value * part + c3
    value = value * part + c2
    value = value * part + c1
    value = value * part + c0
    return value * np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)


def _double(x):
    return math.exp(x)


@overload(exponential)
def _of_kind(x):
    return _single if x == types.float32 else _double
