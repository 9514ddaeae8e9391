"""Models with options in one word, for the benchmarks that train many: `symgnn:gaussians=0`."""


def train_options(variant: str) -> list[str]:
    """Arguments of `symgnn train` for a model and its options.

    Args:
        variant: `model` or `model:option=value,flag`, options as those of `symgnn train` without
            the dashes; put after those for all models, they win.
    """
    model, _, rest = variant.partition(":")
    arguments = ["--model", model]
    for pair in filter(None, rest.split(",")):
        option, *value = pair.split("=", 1)
        arguments += [f"--{option.replace('_', '-')}", *value]
    return arguments


# The paper's attention network sees edge vectors (or, in its ablation, lengths) and no Gaussians.
AS_THE_PAPER = ("symgnn:gaussians=0", "no_symmetrization:gaussians=0", "edge_length:gaussians=0")
