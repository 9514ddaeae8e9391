"""The same number of eight displacements of a region, side by side in a register."""

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from symgnn.vectors import LANES, check_row, octet, vector_at


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


@intrinsic
def plus_multiple(typing_context, a, factor, b):
    """a + factor b, where the factor is a number."""

    def generate(context, builder, signature, arguments):
        a, factor, b = arguments
        product = builder.fmul(spread_number(builder, factor), b, flags=["contract"])
        return builder.fadd(a, product, flags=["contract"])

    return octet(octet, types.float64, octet), generate


@intrinsic
def spread(typing_context, number):
    """The number in all lanes."""
    return octet(types.float64), lambda context, builder, signature, arguments: spread_number(
        builder, arguments[0]
    )


def spread_number(builder, number):
    """The register with a number in all lanes, in code that is being generated."""
    nothing, lane = ir.Constant(octet.llvm, ir.Undefined), ir.IntType(32)
    first = builder.insert_element(nothing, number, lane(0))
    return builder.shuffle_vector(
        first, nothing, ir.Constant(ir.VectorType(lane, LANES), [0] * LANES)
    )


@intrinsic
def inverse_root(typing_context, a):
    """1 / √a."""

    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(octet.llvm, [octet.llvm])
        root = builder.module.declare_intrinsic(f"llvm.sqrt.v{LANES}f64", fnty=kind)
        return builder.fdiv(ir.Constant(octet.llvm, [1.0] * LANES), builder.call(root, arguments))

    return octet(octet), generate


@intrinsic
def where_below(typing_context, a, limit, b):
    """b where a < limit, else 0."""

    def generate(context, builder, signature, arguments):
        a, limit, b = arguments
        below = builder.fcmp_ordered("<", a, spread_number(builder, limit))
        return builder.select(below, b, ir.Constant(octet.llvm, [0.0] * LANES))

    return octet(octet, types.float64, octet), generate


@intrinsic
def any_above(typing_context, a, limit):
    """Whether a number is above the limit."""

    def generate(context, builder, signature, arguments):
        a, limit = arguments
        above = builder.fcmp_ordered(">", a, spread_number(builder, limit))
        bits = builder.bitcast(above, ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))

    return types.boolean(octet, types.float64), generate
