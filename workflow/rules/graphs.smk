"""Graphs: neighbours of every glass of the dataset, its barriers and splits, in one file."""


rule build_graphs:
    input:
        glasses=expand(f"{RESULTS}/glasses/{{glass}}.xyz", glass=SPLITS),
        events=expand(f"{RESULTS}/barriers/{{glass}}/events.h5", glass=SPLITS),
    output:
        f"{RESULTS}/graphs/graphs.h5",
    log:
        f"{LOGS}/graphs/graphs.log",
    benchmark:
        f"{BENCHMARKS}/graphs/graphs.tsv"
    conda:
        "../../envs/graphs.yaml"
    threads: GRAPH_CORES
    resources:
        mem_mb=lambda wildcards, threads, attempt: (3000 + 1000 * threads) * attempt,
        runtime=graph_minutes,
    params:
        events=lambda wildcards, input: repeat_option("--events", input.events),
        splits=" ".join(f"--{split} {glass}" for glass, split in SPLITS.items()),
        graphs=plan.command_options(config["graphs"] | {"potential": config["potential"]}),
        code=stage_hash("graphs"),
    shell:
        "symgnn job --minutes {resources.runtime}"
        " -o {output} -- symgnn graphs {input.glasses} {params.events} {params.splits}"
        " {params.graphs} --threads {threads} -o {output} > {log} 2>&1"
