"""Jobs are alone on their outputs, also after crashes and when clocks jump; and on record."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from symgnn.workflow import jobs, ledger, locks


def hold(path, event, seen, **options):
    with locks.exclusive(path, ["work"], **options) as before:
        seen.append(before)
        event.wait(20)


def start(path, event, seen, **options):
    thread = threading.Thread(target=hold, args=(path, event, seen), kwargs=options)
    thread.start()
    return thread


def wait_until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_second_waits_for_the_first(tmp_path):
    path, first, second, seen = tmp_path / "x.lock", threading.Event(), threading.Event(), []
    one = start(path, first, seen)
    wait_until(path.exists)
    told = []
    two = start(path, second, seen, on_wait=told.append)
    wait_until(lambda: told)
    assert seen == [None]
    assert told[0]["pid"] == os.getpid()
    first.set()
    wait_until(lambda: len(seen) == 2)
    assert seen[1]["command"] == ["work"]
    second.set()
    one.join()
    two.join()
    assert not path.exists()


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_lock_of_a_dead_process_of_this_host_is_taken_at_once(tmp_path):
    path = tmp_path / "x.lock"
    path.write_text(json.dumps(locks.owner(["work"]) | {"pid": dead_process(), "token": "old"}))
    with locks.exclusive(path, ["work"], stale=1e9) as before:
        assert before is None
        assert locks.read_lock(path)["token"] != "old"
    assert not path.exists()


@pytest.mark.parametrize("jump", [-1e7, 1e7])
def test_another_host_s_lock_is_alive_while_touched_whatever_the_clocks_say(tmp_path, jump):
    """A living holder whose clock is months off is waited for; a silent one is given up."""
    path, seen, done = tmp_path / "x.lock", [], threading.Event()
    path.write_text(json.dumps(locks.owner(["work"]) | {"host": "elsewhere", "token": "other"}))
    waiting = start(path, done, seen, stale=1.5)
    for beat in range(12):
        moment = time.time() + jump + beat
        os.utime(path, (moment, moment))
        time.sleep(0.25)
        assert not seen
    wait_until(lambda: seen)
    done.set()
    waiting.join()


def test_of_two_that_find_a_dead_lock_one_has_it(tmp_path):
    path, inside, most = tmp_path / "x.lock", [], []
    path.write_text(json.dumps(locks.owner(["work"]) | {"pid": dead_process(), "token": "old"}))

    def work():
        with locks.exclusive(path, ["work"]):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.3)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 4


SLOW = "import sys,time; time.sleep(2); open(sys.argv[1],'w').write('made')"


def job(results, output, *command):
    """Start `symgnn job`; its messages go to a numbered file."""
    arguments = ["-m", "symgnn.cli", "job", "-o", str(output), "--results", str(results), "--"]
    with (results / f"{len(list(results.glob('*.err')))}.err").open("w") as log:
        return subprocess.Popen([sys.executable, *arguments, *map(str, command)], stderr=log)


def test_two_users_in_one_folder_do_the_work_once(tmp_path):
    output = tmp_path / "a.txt"
    both = [job(tmp_path, output, sys.executable, "-c", SLOW, output) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    errors = [path.read_text() for path in tmp_path.glob("*.err")]
    assert sum("made it meanwhile" in error for error in errors) == 1
    (entry,) = ledger.read_entries(tmp_path)
    assert entry["host"] == socket.gethostname()
    assert entry["outputs"]["a.txt"]["bytes"] == len("made")
    assert entry["seconds"] > 1.9


def test_another_command_on_the_same_output_runs_after_the_first(tmp_path):
    output = tmp_path / "a.txt"
    first = job(tmp_path, output, sys.executable, "-c", SLOW, output)
    wait_until((tmp_path / "a.txt.lock").exists)
    other = job(tmp_path, output, sys.executable, "-c", SLOW.replace("made", "other"), output)
    assert first.wait(30) == other.wait(30) == 0
    assert output.read_text() == "other"
    assert len(list(ledger.read_entries(tmp_path))) == 2


def test_kill_9_of_a_job_ends_its_command_and_frees_the_output(tmp_path):
    output, mark = tmp_path / "a.txt", tmp_path / "pid"
    script = f"import os,time; open({str(mark)!r},'w').write(str(os.getpid())); time.sleep(60)"
    process = job(tmp_path, output, sys.executable, "-c", script)
    wait_until(lambda: mark.exists() and mark.read_text())
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not os.path.exists(f"/proc/{mark.read_text()}"))
    assert job(tmp_path, output, sys.executable, "-c", SLOW, output).wait(30) == 0


def test_exit_codes_pass_and_what_failed_is_on_record(tmp_path):
    for code in (1, 2, 75):
        command = [sys.executable, "-c", f"raise SystemExit({code})"]
        assert jobs.run_job(command, [tmp_path / "a.txt"], tmp_path) == code
    assert [entry["status"] for entry in ledger.read_entries(tmp_path)] == [1, 2, 75]
    assert ledger.recorded_outputs(tmp_path) == {}


def test_a_command_that_makes_nothing_has_failed(tmp_path, capsys):
    assert jobs.run_job([sys.executable, "-c", ""], [tmp_path / "a.txt"], tmp_path) == 1
    assert "not made" in capsys.readouterr().err


def test_a_killed_command_is_told_as_such(tmp_path, capsys):
    script = "import os; os.kill(os.getpid(), 9)"
    assert jobs.run_job([sys.executable, "-c", script], [tmp_path / "a.txt"], tmp_path) == 137
    assert "SIGKILL; the usual reason is too little memory" in capsys.readouterr().err


def test_budget_and_launcher_depend_on_slurm(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert jobs.time_budget(60) is None
    assert jobs.launch_prefix(1) == []
    assert jobs.launch_prefix(4) == ["mpiexec", "-n", "4"]
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SYMGNN_SRUN", "srun --mpi=pmix")
    monkeypatch.setattr(jobs.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert jobs.time_budget(60) == 3240
    assert jobs.launch_prefix(4) == ["srun", "--mpi=pmix", "-n", "4"]
    assert jobs.launch_prefix(1) == []


def test_a_single_rank_gets_no_variables_of_the_process_manager(monkeypatch):
    for name in ("PMI_RANK", "PMI_FD", "PMIX_RANK"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("HOME", "/here")
    assert jobs.environment(1)["HOME"] == "/here"
    assert not [name for name in jobs.environment(1) if name.startswith("PMI")]
    assert jobs.environment(2)["PMI_RANK"] == "0"


def test_damage_is_found_and_the_folder_can_move(tmp_path):
    results = tmp_path / "results"
    for name in ("a", "b", "c"):
        command = [sys.executable, "-c", f"open({str(results / name)!r},'w').write('{name * 9}')"]
        results.mkdir(exist_ok=True)
        assert jobs.run_job(command, [results / name], results) == 0
    moved = results.rename(tmp_path / "elsewhere")
    assert ledger.find_damage(moved) == {}
    (moved / "a").write_text("a" * 8)
    (moved / "b").write_text("b" * 8 + "x")
    (moved / "c").unlink()  # absent is not damaged: it is made again
    assert ledger.find_damage(moved) == {
        "a": "8 bytes, recorded were 9",
        "b": "its checksum is not the recorded one",
    }
