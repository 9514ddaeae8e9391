"""Processes that must not outlive the one that started them."""

import os
import select
import signal
import subprocess
import sys
from functools import partial

import pytest

from symgnn.processes import end_with_parent

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells of a parent's end")


def test_a_child_ends_with_its_parent():
    """The parent starts a child that would sleep, tells its number, and is killed."""
    script = (
        "import os, subprocess, sys, time\n"
        "from functools import partial\n"
        "from symgnn.processes import end_with_parent\n"
        "begin = partial(end_with_parent, os.getpid())\n"
        "child = subprocess.Popen(['sleep', '60'], preexec_fn=begin)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    try:
        readable, _, _ = select.select([child], [], [], 30)
    finally:
        os.close(child)
    assert readable  # as it is once the process has ended


def test_a_child_whose_parent_has_ended_before_ends_at_once():
    begin = partial(end_with_parent, os.getpid() + 1)  # which is not who starts it
    child = subprocess.run(["sleep", "60"], preexec_fn=begin, check=False, timeout=30)
    assert child.returncode == -signal.SIGTERM
