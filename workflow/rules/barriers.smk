"""Barriers: saddle searches, a shard of a glass's atoms a job, then one file a glass."""


rule search_barriers:
    input:
        glass=f"{RESULTS}/glasses/{{glass}}.xyz",
    output:
        f"{RESULTS}/barriers/{{glass}}/shard-{{shard}}.h5",
    log:
        f"{LOGS}/barriers/{{glass}}/shard-{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/barriers/{{glass}}/shard-{{shard}}.tsv"
    conda:
        "../../envs/barriers.yaml"
    threads: config["execution"]["barrier_ranks"]
    resources:
        tasks=lambda wildcards, threads: threads,
        mpi=lambda wildcards, threads: "srun" if threads > 1 else "",
        cpus_per_task=1,
        mem_mb=lambda wildcards, threads, attempt: 1000 * threads * attempt,
        runtime=search_minutes,
    params:
        atoms=config["barriers"]["atoms"],
        shard=lambda wildcards: f"{wildcards.shard}/{SHARDS[wildcards.glass]}",
        protocol=plan.search_options(config["barriers"]["protocol"], POTENTIAL),
        potential=config["potential"],
        checksum=POTENTIAL.sha256,
        code=stage_hash("barriers"),
    shell:
        "symgnn job --minutes {resources.runtime} --ranks {resources.tasks}"
        " --budgeted -o {output} -- symgnn barriers {input.glass} --potential {params.potential}"
        " --atoms {params.atoms} --shard {params.shard} {params.protocol} -o {output} > {log} 2>&1"


# A rule of its own, so that a profile can send it where the GPUs are.
if costs.searches_on_gpu(config):

    ruleorder: search_barriers_on_gpu > search_barriers

    use rule search_barriers as search_barriers_on_gpu with:
        resources:
            tasks=lambda wildcards, threads: threads,
            mpi=lambda wildcards, threads: "srun" if threads > 1 else "",
            cpus_per_task=1,
            mem_mb=lambda wildcards, threads, attempt: 8000 * threads * attempt,
            runtime=search_minutes,


rule merge_shards:
    input:
        lambda wildcards: [
            f"{RESULTS}/barriers/{wildcards.glass}/shard-{shard}.h5"
            for shard in range(SHARDS[wildcards.glass])
        ],
    output:
        f"{RESULTS}/barriers/{{glass}}/events.h5",
    log:
        f"{LOGS}/barriers/{{glass}}/merge.log",
    benchmark:
        f"{BENCHMARKS}/barriers/{{glass}}/merge.tsv"
    conda:
        "../../envs/barriers.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 15 * attempt,
    shell:
        "symgnn job --minutes {resources.runtime}"
        " -o {output} -- symgnn merge-events {input} -o {output} > {log} 2>&1"
