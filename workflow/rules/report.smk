"""The report: one offline page from the results of all stages."""


rule report:
    input:
        glasses=expand(f"{RESULTS}/glasses/{{glass}}.xyz", glass=GLASSES),
        events=expand(f"{RESULTS}/barriers/{{glass}}/events.h5", glass=SPLITS),
        shears=expand(f"{RESULTS}/shear/{{glass}}/shear.h5", glass=SHEARED),
        graphs=f"{RESULTS}/graphs/graphs.h5",
        table=f"{RESULTS}/models/table.csv",
        metrics=expand("{run}/metrics.json", run=MODEL_RUNS),
        explanations=expand(f"{RESULTS}/explanations/{{glass}}/explanation.h5", glass=EXPLAINED),
        assessments=expand(f"{RESULTS}/explanations/{{glass}}/assessment.json", glass=EXPLAINED),
    output:
        f"{RESULTS}/report.html",
    log:
        f"{LOGS}/report.log",
    benchmark:
        f"{BENCHMARKS}/report.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        events=lambda wildcards, input: repeat_option("--events", input.events),
        runs=repeat_option("--runs", MODEL_RUNS),
        explanations=lambda wildcards, input: repeat_option("--explanations", input.explanations),
        assessments=lambda wildcards, input: repeat_option("--assessments", input.assessments),
        benchmarks=f"{BENCHMARKS}/**/*.tsv",
        code=stage_hash("report"),
    shell:
        "symgnn job --minutes {resources.runtime}"
        " -o {output} -- symgnn report {input.glasses} {input.shears} {params.events} --graphs {input.graphs} {params.runs}"
        " --table {input.table} {params.explanations} {params.assessments} --benchmarks '{params.benchmarks}'"
        " -o {output} > {log} 2>&1"
