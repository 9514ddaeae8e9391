"""Compile the Triton kernels for an H100 on a machine without one: `python -m` this module."""

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from symgnn.barriers.batched import triton_kernels as kernels
from symgnn.barriers.batched.triton_rows import ATOMS, BLOCK, SLOTS

H100 = GPUTarget("cuda", 90, 32)
INT64 = ("rows", "laid")
INT32 = (
    *("owner", "species", "free", "count", "near_count", "all_count"),
    *("source", "source_count", "chosen", "listed"),
)
SIZES = ("atoms", "sites", "owners", "sources", "slots", "elements", "intervals", "knots")
KERNELS = (
    kernels.place_sites,
    kernels.select_pairs,
    kernels.lay_densities,
    kernels.embed_frozen,
    kernels.pull_atoms,
    kernels.sum_energies,
)


def kind(name: str, real: str) -> str:
    """Type of a kernel's argument."""
    if name in INT64:
        return "*i64"
    if name in INT32:
        return "*i32"
    if name in SIZES:
        return "i32"
    return f"*{real}" if name == "table" else "*fp64"


def compile_kernel(kernel: triton.JITFunction, real: str, **constants: object) -> object:
    """A kernel for given constants, compiled."""
    used = {name: value for name, value in constants.items() if name in kernel.arg_names}
    signature = {
        name: "constexpr" if name in used else kind(name, real) for name in kernel.arg_names
    }
    return triton.compile(ASTSource(kernel, signature, used), H100, {"enable_fp_fusion": True})


if __name__ == "__main__":
    for kernel in KERNELS:
        for real, number in (("fp64", tl.float64), ("fp32", tl.float32)):
            for flag in (True, False):
                flags = {"SYMMETRIC": flag, "EVERY": flag, "REAL": number}
                sizes = {"ATOMS": ATOMS, "SLOTS": SLOTS, "BLOCK": BLOCK}
                compiled = compile_kernel(kernel, real, **flags, **sizes)
                wide = "f64" in compiled.asm["ptx"]
                print(kernel.fn.__name__, real, flag, compiled.metadata.shared, wide)
