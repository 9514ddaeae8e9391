"""A real Slurm on this machine: slurmctld and slurmd on the loopback device, for tests."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPort={port}
SlurmdPort={port_of_node}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
MpiDefault=pmi2
SwitchType=switch/none
ReturnToService=2
KillWait=5
MinJobAge=86400
SchedulerParameters=bf_interval=5,batch_sched_delay=0,sched_min_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 Boards=1 SocketsPerBoard=1 CoresPerSocket=4 \
ThreadsPerCore=1 RealMemory=32000 Gres=gpu:1 State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=1440 DefMemPerCPU=200 State=UP
PartitionName=gpu Nodes={host} MaxTime=1440 DefMemPerCPU=200 State=UP
"""
COMMANDS = ("srun", "scancel", "squeue", "scontrol", "sbatch", "sinfo")


@dataclass(frozen=True)
class Cluster:
    """A running Slurm.

    Attributes:
        environment: variables that make its commands work.
    """

    environment: dict[str, str]

    def ask(self, *command: str) -> str:
        """The output of a Slurm command."""
        return subprocess.run(
            command, env=os.environ | self.environment, capture_output=True, text=True, check=True
        ).stdout

    def jobs(self) -> list[dict[str, str]]:
        """Every job so far, as scontrol shows them."""
        found = []
        for line in self.ask("scontrol", "show", "jobs", "--oneliner").splitlines():
            pairs = (word.split("=", 1) for word in line.split() if "=" in word)
            found.append(dict(pairs))
        return [job for job in found if "JobId" in job]


def missing() -> str | None:
    """Why no Slurm can be started here; None where one can."""
    daemons = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
    for program in ("slurmctld", "slurmd", "sbatch"):
        if shutil.which(program, path=daemons) is None:
            return f"{program} is not installed (Debian: slurm-wlm)"
    return None


@contextmanager
def start_cluster(folder: Path) -> Iterator[Cluster]:
    """Start a Slurm of one node with four claimed cores and a claimed GPU, and stop it."""
    for name in ("state", "spool", "log", "run", "bin"):
        (folder / name).mkdir(parents=True)
    host, (port, port_of_node) = socket.gethostname().split(".")[0], _free_ports()
    configuration = folder / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(
            host=host, user=getuser(), port=port, port_of_node=port_of_node, folder=folder
        )
    )
    (folder / "gres.conf").write_text(f"NodeName={host} Name=gpu File=/dev/null\n")
    # The job step of snakemake's plugin drops SLURM_CONF from the environment: give it back.
    for name in COMMANDS:
        shim = folder / "bin" / name
        real = shutil.which(name)
        shim.write_text(f'#!/bin/sh\nSLURM_CONF={configuration} exec {real} "$@"\n')
        shim.chmod(0o755)
    path = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent)])
    environment = {
        "SLURM_CONF": str(configuration),
        "PATH": os.pathsep.join([path, os.environ["PATH"], "/usr/sbin"]),
    }
    cluster = Cluster(environment)
    variables = os.environ | environment
    try:
        subprocess.run(["slurmctld", "-c"], env=variables, check=True)
        subprocess.run(["slurmd", "-N", host], env=variables, check=True)
        _wait_until_idle(cluster, folder)
        yield cluster
    finally:
        subprocess.run(["scancel", "--user", getuser()], env=variables, check=False)
        for name in ("slurmd", "slurmctld"):
            _stop(folder / "run" / f"{name}.pid")


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


def _wait_until_idle(cluster: Cluster, folder: Path) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            if cluster.ask("sinfo", "-h", "-o", "%T").startswith("idle"):
                return
        except subprocess.CalledProcessError:
            pass
        time.sleep(0.2)
    logs = "".join(path.read_text()[-2000:] for path in (folder / "log").glob("*.log"))
    raise RuntimeError(f"Slurm did not come up\n{logs}")


def _stop(pid_file: Path) -> None:
    try:
        process = int(pid_file.read_text())
        os.kill(process, signal.SIGTERM)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return
    end = time.monotonic() + 10
    while pid_file.exists() and time.monotonic() < end:
        time.sleep(0.1)
