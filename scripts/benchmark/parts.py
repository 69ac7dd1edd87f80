"""Which part of a run takes how long, and what that means for more cores.

A phase that several workers share takes, on n cores with n workers, the longest of three: what all
processors together do in it, by n; what its first thread does, which takes the workers' results
one by one; and what it took with one worker, by n. A phase of one thread takes what it takes.
"""

import shutil
import statistics

from .measure import Mark

JOBS = (1, 2, 4)
CORES = (2, 4, 16, 64)

# Phases whose work is shared by several workers.
SHARED = {
    "reading the rows",
    "reading the archive again",
    "verifying the archive",
    "loading the rows",
    "reading the database",
}

START = "starting"


def measure(bench, label, database):
    """Backups and restores with 1, 2 and 4 workers."""
    from .contests import archive_in

    found = {"label": label, "backup": {}, "restore": {}}
    runs = min(bench.options.runs, 3)
    for jobs in JOBS:
        backups, restores = [], []
        for _ in range(runs):
            repository = bench.repository()
            backups.append(phases(lambda listen: bench.backup(database, repository, jobs=jobs, listen=listen)))
            archive = archive_in(repository)
            target = bench.target()
            restores.append(phases(lambda listen: bench.restore(archive, target, jobs=jobs, listen=listen)))
            bench.server.drop(target)
            shutil.rmtree(repository)
        found["backup"][jobs] = middle(backups)
        found["restore"][jobs] = middle(restores)
        bench.say(f"parts of {label}: {jobs} workers")
    return found


def phases(start):
    """Runs pgark, and gives what each of its phases took: a list of dictionaries."""
    marks = [Mark(START, 0.0, 0.0, 0.0, 0.0)]
    start(marks.append)
    begun = [marks[0]]
    begun += [mark for mark in marks[1:] if mark.text == "" or is_phase(mark.text)]
    found = []
    for now, then in zip(begun, begun[1:]):
        server = None if then.server is None or now.server is None else then.server - now.server
        # At the very end there is no first thread to ask any more.
        main = then.main - now.main if then.main else 0.0
        found.append(
            {
                "name": now.text.removeprefix("pgark: "),
                "wall": then.wall - now.wall,
                "client": then.cpu - now.cpu,
                "main": max(main, 0.0),
                "server": server,
            }
        )
    return found


def is_phase(line):
    """Lines of standard error that name a phase: `pgark: reading the rows`."""
    text = line.removeprefix("pgark: ")
    return text != line and ":" not in text and "," not in text


def middle(runs):
    """The medians of several runs, phase by phase."""
    names = [phase["name"] for phase in runs[0]]
    found = []
    for name in names:
        same = [phase for run in runs for phase in run if phase["name"] == name]
        values = {}
        for what in ("wall", "client", "main", "server"):
            seen = [phase[what] for phase in same]
            values[what] = None if None in seen else statistics.median(seen)
        found.append({"name": name, **values})
    return found


def computed(one_worker, cores):
    """Seconds of each phase on so many cores, with as many workers, from a run with one worker."""
    found = []
    for phase in one_worker:
        if phase["name"] not in SHARED or phase["server"] is None:
            found.append((phase["name"], phase["wall"]))
            continue
        together = (phase["client"] + phase["server"]) / cores
        found.append((phase["name"], max(together, phase["main"], phase["wall"] / cores)))
    return found
