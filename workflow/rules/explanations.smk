"""Explanations: the important edges of some atoms of a glass, and whether they stand up."""

EXPLAINED_CHECKPOINT = "{}/models/{}/seed-{}/checkpoint.pt".format(
    RESULTS, config["explanations"]["model"], config["explanations"]["seed"]
)


rule explain:
    input:
        glass=f"{RESULTS}/glasses/{{glass}}.xyz",
        checkpoint=EXPLAINED_CHECKPOINT,
    output:
        f"{RESULTS}/explanations/{{glass}}/explanation.h5",
    log:
        f"{LOGS}/explanations/{{glass}}.log",
    benchmark:
        f"{BENCHMARKS}/explanations/{{glass}}.tsv"
    conda:
        "../../envs/explanations.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=explanation_minutes,
    params:
        atoms=config["explanations"]["atoms"],
        protocol=plan.command_options(config["explanations"]["protocol"]),
        code=stage_hash("explanations"),
    shell:
        "symgnn job --minutes {resources.runtime}"
        " --budgeted -o {output} -- symgnn explain {input.glass} --checkpoint {input.checkpoint} --atoms {params.atoms}"
        " {params.protocol} -o {output} > {log} 2>&1"


rule assess:
    input:
        explanation=f"{RESULTS}/explanations/{{glass}}/explanation.h5",
        events=f"{RESULTS}/barriers/{{glass}}/events.h5",
        checkpoint=EXPLAINED_CHECKPOINT,
    output:
        f"{RESULTS}/explanations/{{glass}}/assessment.json",
    log:
        f"{LOGS}/explanations/{{glass}}.assessment.log",
    benchmark:
        f"{BENCHMARKS}/explanations/{{glass}}.assessment.tsv"
    conda:
        "../../envs/explanations.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=assessment_minutes,
    params:
        options=plan.command_options(config["explanations"]["assessment"]),
        code=stage_hash("explanations"),
    shell:
        "symgnn job --minutes {resources.runtime}"
        " -o {output} -- symgnn assess {input.explanation} --checkpoint {input.checkpoint} --events {input.events}"
        " {params.options} -o {output} > {log} 2>&1"
