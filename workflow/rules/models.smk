"""Models: one training a model and seed, and one table of them all."""

MODEL_RUNS = expand(
    f"{RESULTS}/models/{{model}}/seed-{{seed}}",
    model=config["models"]["names"],
    seed=config["models"]["seeds"],
)


rule train:
    input:
        f"{RESULTS}/graphs/graphs.h5",
    output:
        checkpoint=f"{RESULTS}/models/{{model}}/seed-{{seed}}/checkpoint.pt",
        history=f"{RESULTS}/models/{{model}}/seed-{{seed}}/history.csv",
        metrics=f"{RESULTS}/models/{{model}}/seed-{{seed}}/metrics.json",
        predictions=f"{RESULTS}/models/{{model}}/seed-{{seed}}/predictions.h5",
    log:
        f"{LOGS}/models/{{model}}/seed-{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/models/{{model}}/seed-{{seed}}.tsv"
    conda:
        "../../envs/models.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=training_minutes,
    params:
        run=subpath(output.checkpoint, parent=True),
        options=lambda wildcards: plan.command_options(
            plan.training_options(config["models"], wildcards.model)
        ),
        code=stage_hash("training"),
    shell:
        "symgnn job --minutes {resources.runtime}"
        " --budgeted -o {output.checkpoint} -o {output.history} -o {output.metrics}"
        " -o {output.predictions} -- symgnn train {input} --model {wildcards.model} --seed {wildcards.seed}"
        " {params.options} --threads {threads} -o {params.run} > {log} 2>&1"


rule evaluate:
    input:
        graphs=f"{RESULTS}/graphs/graphs.h5",
        checkpoints=expand("{run}/checkpoint.pt", run=MODEL_RUNS),
        metrics=expand("{run}/metrics.json", run=MODEL_RUNS),
        predictions=expand("{run}/predictions.h5", run=MODEL_RUNS),
    output:
        f"{RESULTS}/models/table.csv",
    log:
        f"{LOGS}/models/table.log",
    benchmark:
        f"{BENCHMARKS}/models/table.tsv"
    conda:
        "../../envs/models.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        runs=MODEL_RUNS,
        code=stage_hash("evaluation"),
    shell:
        "symgnn job --minutes {resources.runtime}"
        " -o {output} -- symgnn evaluate {params.runs} -o {output} > {log} 2>&1"
