"""What compiled loops need to be made of vector instructions: options, and an exponential.

The machine's own exponential is called for one number at a time, and a loop that calls it is not
made of vector instructions.
"""

import math

import numpy as np
from numba import types
from numba.extending import overload

from symgnn.compiled import njit

# Sums may be reordered (NaN is kept), and a division by zero raises nothing.
VECTORS = {
    "nogil": True,
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},
    "error_model": "numpy",
}

# exp(x) is 2^(n + f), n whole and |f| at most 1/2. 2^n has n in the bits of a number's exponent;
# 2^f is a polynomial, the least squares of its relative error at 1,000 points of Chebyshev's:
#     f = np.cos(np.pi * (np.arange(1000) + 0.5) / 1000) / 2
#     np.linalg.lstsq(np.vander(f, 7, increasing=True) * 2 ** -f[:, None], np.ones(1000))
# The largest error is 2e-7 of the exponential near x = 0, and 1e-6 at |x| = 20, where half a unit
# in x's last digit changes as much.
POLYNOMIAL = tuple(
    np.float32(coefficient)
    for coefficient in (
        1.0,
        0.693147206,
        0.240226466,
        0.0555032900,
        0.00961851953,
        0.00133998604,
        0.000153375768,
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


@njit(**VECTORS)
def silu(x):
    """x / (1 + exp(-x)), and its derivative."""
    one = type(x)(1)
    open_ = one / (one + exponential(-x))
    return x * open_, open_ * (one + x * (one - open_))
