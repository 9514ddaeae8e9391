"""Eight doubles in a register: loops over so few numbers are not turned into vectors by themselves.

Plain LLVM, for any processor, as `symgnn.barriers.vectors`, whose four numbers of an atom these are
not: here the same number of eight displacements of a region stands side by side.
"""

from llvmlite import ir
from numba.core import types
from numba.core.errors import TypingError
from numba.extending import intrinsic, models, register_model

LANES = 8
VECTOR = ir.VectorType(ir.DoubleType(), LANES)


class _Octet(types.Type):
    """Eight doubles in a register."""

    def __init__(self) -> None:
        super().__init__(name="octet")


@register_model(_Octet)
class _OctetModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, VECTOR)


octet = _Octet()


def _pointer(context, builder, signature, arguments):
    """Pointer to `arguments[0][arguments[1]]` and the seven numbers after it."""
    array, index = signature.args[:2]
    data = context.make_array(array)(context, builder, arguments[0]).data
    place = builder.gep(data, [context.cast(builder, arguments[1], index, types.intp)])
    return builder.bitcast(place, VECTOR.as_pointer())


def _check(array) -> None:
    if not (isinstance(array, types.Array) and array.ndim == 1 and array.layout == "C"):
        raise TypingError(f"{array}: must be a contiguous one-dimensional array")


@intrinsic
def load(typing_context, array, at):
    """`array[at:at + 8]`."""
    _check(array)

    def generate(context, builder, signature, arguments):
        return builder.load(_pointer(context, builder, signature, arguments), align=8)

    return octet(array, at), generate


@intrinsic
def store(typing_context, array, at, value):
    """`array[at:at + 8] = value`."""
    _check(array)

    def generate(context, builder, signature, arguments):
        builder.store(arguments[2], _pointer(context, builder, signature, arguments), align=8)
        return context.get_dummy_value()

    return types.void(array, at, octet), generate


@intrinsic
def plus(typing_context, a, b):
    """a + b."""
    return octet(octet, octet), lambda context, builder, signature, arguments: builder.fadd(
        *arguments
    )


@intrinsic
def minus(typing_context, a, b):
    """a - b."""
    return octet(octet, octet), lambda context, builder, signature, arguments: builder.fsub(
        *arguments
    )


@intrinsic
def times(typing_context, a, b):
    """a b."""
    return octet(octet, octet), lambda context, builder, signature, arguments: builder.fmul(
        *arguments
    )


@intrinsic
def plus_product(typing_context, a, b, c):
    """a + b c."""

    def generate(context, builder, signature, arguments):
        a, b, c = arguments
        product = builder.fmul(b, c, flags=["contract"])
        return builder.fadd(a, product, flags=["contract"])

    return octet(octet, octet, octet), generate
