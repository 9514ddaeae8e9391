"""Glasses (-> shear) -> barriers -> graphs -> models -> explanations -> report, as config.yaml says.

snakemake --cores 4                                       the paper's protocol, on this machine
snakemake --cores 4 --configfile resources/demo.yaml      at laptop size, in minutes
snakemake --profile slurm                                 on a cluster
"""

from snakemake.utils import min_version

min_version("9.5")


configfile: f"{workflow.basedir}/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/glasses.smk"
include: "workflow/rules/shear.smk"
include: "workflow/rules/barriers.smk"
include: "workflow/rules/graphs.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/explanations.smk"
include: "workflow/rules/report.smk"


localrules:
    all,
    merge_shards,


rule all:
    default_target: True
    input:
        f"{RESULTS}/report.html",
        expand(f"{RESULTS}/glasses/{{glass}}.xyz", glass=GLASSES),
