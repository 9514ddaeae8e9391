"""The same number of eight displacements of a region, side by side in a register."""

from numba.core import types
from numba.extending import intrinsic

from symgnn.vectors import check_row, octet, vector_at


@intrinsic
def load(typing_context, array, at):
    """`array[at:at + 8]`."""
    check_row(array)

    def generate(context, builder, signature, arguments):
        kinds = signature.args
        pointer = vector_at(context, builder, octet, kinds[0], arguments[0], kinds[1], arguments[1])
        return builder.load(pointer, align=8)

    return octet(array, at), generate


@intrinsic
def store(typing_context, array, at, value):
    """`array[at:at + 8] = value`."""
    check_row(array)

    def generate(context, builder, signature, arguments):
        kinds = signature.args
        pointer = vector_at(context, builder, octet, kinds[0], arguments[0], kinds[1], arguments[1])
        builder.store(arguments[2], pointer, align=8)
        return context.get_dummy_value()

    return types.void(array, at, octet), generate
