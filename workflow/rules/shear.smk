"""Shear: athermal quasistatic deformation of some glasses in LAMMPS."""


rule shear:
    input:
        f"{RESULTS}/glasses/{{glass}}.xyz",
    output:
        f"{RESULTS}/shear/{{glass}}/shear.h5",
    log:
        f"{LOGS}/shear/{{glass}}.log",
    benchmark:
        f"{BENCHMARKS}/shear/{{glass}}.tsv"
    conda:
        "../../envs/glasses.yaml"
    threads: shear_cores
    resources:
        tasks=lammps_ranks,
        mpi=lambda wildcards, threads: "srun" if lammps_ranks(wildcards, threads) > 1 else "",
        cpus_per_task=LAMMPS_THREADS,
        mem_mb=lambda wildcards, threads, attempt: 1000 * threads * attempt,
        runtime=shear_minutes,
    params:
        protocol=plan.command_options(config["shear"]["protocol"]),
        potential=config["potential"],
        checksum=POTENTIAL.sha256,
        code=stage_hash("shear"),
    shell:
        "OMP_NUM_THREADS={resources.cpus_per_task}"
        " symgnn job --minutes {resources.runtime} --ranks {resources.tasks}"
        " --budgeted -o {output} -- symgnn shear {input} {params.protocol}"
        " --potential {params.potential} -o {output} > {log} 2>&1"
