"""Hand searches out to MPI ranks as they free up; alone, simply run them.

Rank 0 holds the journal and searches too: between its own force calls and Lanczos iterations it
answers the others.
"""

from collections import deque
from collections.abc import Callable, Iterator
from enum import IntEnum

from mpi4py import MPI

from symgnn.barriers.event import Event
from symgnn.barriers.searches import Searches

Task = tuple[int, int]

MOST_AT_ONCE = 8  # tasks handed out with one message,
SHARE_AT_ONCE = 1 / 32  # and which part of a rank's share, so that all end at about one time

_ASK, _GIVE = 1, 2


class _Wants(IntEnum):
    """What a rank tells with its events."""

    NOTHING = 0
    TASKS = 1
    TO_LEAVE = 2


def run(
    searches: Searches,
    tasks: list[Task],
    *,
    record: Callable[[Event], None],
    stop: Callable[[], bool],
    communicator: MPI.Comm = MPI.COMM_WORLD,
) -> None:
    """Run searches on all ranks; every rank calls this with its own `searches`.

    No rank takes more than its share at once, so that few searches keep all of them busy.

    Args:
        searches: runs searches of one structure.
        tasks: (atom, search), used on rank 0.
        record: called on rank 0 with every event, in the order in which they end.
        stop: asked between rounds; true drops the searches under way and ends the run.
        communicator: the ranks.
    """
    share = communicator.bcast(-(-len(tasks) // communicator.size))
    if communicator.rank == 0:
        chunk = min(max(int(share * SHARE_AT_ONCE), 1), MOST_AT_ONCE)
        _lead(searches, tasks, record, stop, communicator, share, chunk)
    else:
        _follow(searches, stop, communicator, share)


def _lead(
    searches: Searches,
    tasks: list[Task],
    record: Callable[[Event], None],
    stop: Callable[[], bool],
    communicator: MPI.Comm,
    share: int,
    chunk: int,
) -> None:
    waiting = deque(tasks)
    following = communicator.size - 1

    def take(count: int) -> list[Task]:
        if stop():
            waiting.clear()
        return [waiting.popleft() for _ in range(min(count, len(waiting)))]

    def answer() -> None:
        nonlocal following
        status = MPI.Status()
        while communicator.Iprobe(tag=_ASK, status=status):
            event, wants = communicator.recv(source=status.source, tag=_ASK)
            if event is not None:
                record(event)
            if wants == _Wants.TASKS:
                communicator.send(take(chunk), dest=status.source, tag=_GIVE)
            following -= wants == _Wants.TO_LEAVE

    def own() -> Iterator[Task]:
        while given := take(1):
            yield from given

    for event in searches.run(own(), most=share, between=answer, stop=stop):
        record(event)
    while following:
        communicator.Probe(tag=_ASK)
        answer()


def _follow(
    searches: Searches, stop: Callable[[], bool], communicator: MPI.Comm, share: int
) -> None:
    def given() -> Iterator[Task]:
        while True:
            communicator.send((None, _Wants.TASKS), dest=0, tag=_ASK)
            chunk = communicator.recv(source=0, tag=_GIVE)
            if not chunk:
                return
            yield from chunk

    for event in searches.run(given(), most=share, stop=stop):
        communicator.send(
            (event, _Wants.NOTHING), dest=0, tag=_ASK
        )  # at once: a kill loses no more
    communicator.send((None, _Wants.TO_LEAVE), dest=0, tag=_ASK)
