"""Glasses: melt and quench in LAMMPS."""


rule quench:
    output:
        glass=f"{RESULTS}/glasses/{{glass}}.xyz",
        thermo=f"{RESULTS}/glasses/{{glass}}.thermo.csv",
    log:
        f"{LOGS}/glasses/{{glass}}.log",
    benchmark:
        f"{BENCHMARKS}/glasses/{{glass}}.tsv"
    conda:
        "../../envs/glasses.yaml"
    threads: quench_cores
    resources:
        tasks=lammps_ranks,
        mpi=lambda wildcards, threads: "srun" if lammps_ranks(wildcards, threads) > 1 else "",
        cpus_per_task=LAMMPS_THREADS,
        mem_mb=lambda wildcards, threads, attempt: 1000 * threads * attempt,
        runtime=quench_minutes,
    params:
        glass=lambda wildcards: plan.command_options(plan.quench_keywords(GLASSES[wildcards.glass])),
        protocol=plan.command_options(config["glasses"]["protocol"]),
        potential=config["potential"],
        checksum=POTENTIAL.sha256,
        code=stage_hash("glasses"),
    shell:
        "OMP_NUM_THREADS={resources.cpus_per_task}"
        " symgnn job --minutes {resources.runtime} --ranks {resources.tasks}"
        " --budgeted -o {output.glass} -o {output.thermo} -- symgnn quench {params.glass}"
        " {params.protocol} --potential {params.potential} -o {output.glass} > {log} 2>&1"
