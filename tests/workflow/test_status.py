"""What `symgnn status` says of jobs that run, from their locks and logs."""

import sys
from pathlib import Path

import pytest

from symgnn import progress
from symgnn.workflow import locks
from symgnn.workflow.configuration import read_configuration
from symgnn.workflow.status import list_items, print_status

TINY = Path(__file__).with_name("tiny.yaml")


def write_log(path: Path, monkeypatch, label: str, total: int, done: int, **figures) -> None:
    """As a command writes it whose standard error is a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        with progress.Progress(label, total, interval=0.0) as shown:
            for _ in range(done):
                shown.advance(**figures)
        print("a warning of another kind", file=stream)


def test_a_running_job_tells_how_far_it_is(tmp_path, monkeypatch, capsys) -> None:
    root = Path(__file__).parents[2]
    config = read_configuration([root / "config.yaml", TINY])
    glass = "Cu64Zr36_120_1e15_s1"
    logs = tmp_path / "logs"
    write_log(
        logs / f"barriers/{glass}/shard-0.log", monkeypatch, "searches", 40, 3, atoms="1/2", rate=2
    )
    write_log(logs / "models/gcn/seed-0.log", monkeypatch, "training", 8, 2, loss=0.5)
    write_log(logs / f"barriers/{glass}/shard-1.log", monkeypatch, "searches", 40, 1)
    with (
        locks.exclusive(tmp_path / f"barriers/{glass}/shard-0.h5.lock", ["symgnn", "barriers"]),
        locks.exclusive(tmp_path / "models/gcn/seed-0/checkpoint.pt.lock", ["symgnn", "train"]),
    ):
        print_status(list_items(config, tmp_path), everything=False)
    lines = capsys.readouterr().out.splitlines()
    running = {line.split()[1]: line for line in lines if line.startswith("running")}
    assert len(running) == 2
    shard = running[str(tmp_path / f"barriers/{glass}/shard-0.h5")]
    assert "  searches: 3/40  " in shard
    assert shard.endswith("s  atoms 1/2  rate 2")
    assert "  training: 2/8  " in running[str(tmp_path / "models/gcn/seed-0/checkpoint.pt")]
    assert not any("1/40" in line for line in lines)  # not begun, as far as its files tell


JOBS = [  # file, log (without logs/), what its command counts
    ("glasses/{}.xyz", "glasses/{}.log", "quench Cu64Zr36_120_1e15_s3"),
    ("barriers/{}/shard-1.h5", "barriers/{}/shard-1.log", "searches"),
    ("shear/{}/shear.h5", "shear/{}.log", "shear"),
    ("graphs/graphs.h5", "graphs/graphs.log", "inputs"),
    ("models/gcn/seed-0/checkpoint.pt", "models/gcn/seed-0.log", "training"),
    ("explanations/{}/explanation.h5", "explanations/{}.log", "atoms explained"),
    ("explanations/{}/assessment.json", "explanations/{}.assessment.log", "explained again"),
]


@pytest.mark.parametrize("job", JOBS, ids=[job[2] for job in JOBS])
def test_every_stage_tells_of_its_own_log(job, tmp_path, monkeypatch, capsys) -> None:
    """Where all of the glass's logs are there."""
    root, glass = Path(__file__).parents[2], "Cu64Zr36_120_1e15_s3"
    config = read_configuration([root / "config.yaml", TINY])
    for number, (_, log, label) in enumerate(JOBS, 1):
        path = tmp_path / "logs" / log.format(glass)
        write_log(path, monkeypatch, label, 40, number)
    file, _, label = job
    path = tmp_path / file.format(glass)
    with locks.exclusive(f"{path}.lock", ["symgnn"]):
        print_status(list_items(config, tmp_path), everything=False)
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("running"))
    assert f"running  {path}  " in line
    assert f"  {label}: {1 + JOBS.index(job)}/40  " in line


def test_the_logs_are_where_the_rules_write_them() -> None:
    rules = Path(__file__).parents[2] / "workflow" / "rules"
    text = "".join(path.read_text() for path in rules.glob("*.smk"))
    for _, log, _ in JOBS:
        name = log.replace("{}", "{{glass}}").replace("shard-1", "shard-{{shard}}")
        name = name.replace("models/gcn/seed-0", "models/{{model}}/seed-{{seed}}")
        assert f'f"{{LOGS}}/{name}"' in text


def test_a_long_log_is_read_at_its_end(tmp_path, monkeypatch) -> None:
    log = tmp_path / "job.log"
    write_log(log, monkeypatch, "searches", 5000, 3000)
    assert log.stat().st_size > 2 * progress.TAIL
    assert progress.last_progress(log).startswith("searches: 3000/5000  ")
