"""Seconds of the clock, seconds of processors and memory, of a program and of the server."""

import dataclasses
import os
import subprocess
import tempfile
import threading
import time

TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A program failed."""


class Missing(Failed):
    """Something that a measurement needs is not there."""


@dataclasses.dataclass
class Usage:
    """What one run took. Times are in seconds, memory is in bytes."""

    wall: float
    user: float
    system: float
    # Of all processes of the server; None where it does not run on this machine.
    server: float | None
    # Of the largest process; None where it could not be told from this program's own.
    peak: int | None

    @property
    def cpu(self):
        return self.user + self.system

    def __add__(self, other):
        """One run after the other."""
        servers = (self.server, other.server)
        peaks = [peak for peak in (self.peak, other.peak) if peak is not None]
        return Usage(
            self.wall + other.wall,
            self.user + other.user,
            self.system + other.system,
            None if None in servers else sum(servers),
            max(peaks, default=None),
        )

    def less(self, start):
        """Without what starting a program took."""
        user = max(self.user - start.user, 0)
        system = max(self.system - start.system, 0)
        return dataclasses.replace(self, wall=self.wall - start.wall, user=user, system=system)


@dataclasses.dataclass
class Mark:
    """A line of standard error, and what had been used when it came."""

    text: str
    wall: float
    cpu: float  # of the program
    main: float  # of its first thread
    server: float | None


def run(argv, clock=None, listen=None, stdin=None, forks=False):
    """Runs a program to its end. `listen` gets a Mark for every line of standard error, and one with
    an empty text at the end. `forks` says that the program works in processes of its own."""
    said = tempfile.TemporaryFile()
    before = clock.cpu() if clock else None
    begun = time.monotonic()
    child = subprocess.Popen(
        argv,
        stdin=stdin or subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE if listen else said,
    )
    watch = _Memory(child.pid)
    try:
        if listen:
            for line in child.stderr:
                said.write(line)
                text = line.decode(errors="replace").strip()
                wall = time.monotonic() - begun
                server = clock.cpu() - before if clock else None
                listen(Mark(text, wall, *_process(child.pid), server))
        _, status, rusage = os.wait4(child.pid, 0)
        wall = time.monotonic() - begun
        child.returncode = os.waitstatus_to_exitcode(status)
    except BaseException:
        child.terminate()
        child.wait()
        raise
    finally:
        watch.end()
    if child.returncode != 0:
        said.seek(0)
        raise failed(argv, child.returncode, said.read().decode(errors="replace"))
    server = None
    if clock:
        # The server ends its processes a moment after the client has gone.
        time.sleep(0.05)
        server = clock.cpu() - before
    if listen:
        listen(Mark("", wall, rusage.ru_utime + rusage.ru_stime, 0.0, server))
    # What a process inherits at its birth counts as its own: this program's memory.
    whole = rusage.ru_maxrss * 1024
    peak = whole if whole > own_peak() else None if forks else watch.peak
    return Usage(wall, rusage.ru_utime, rusage.ru_stime, server, peak)


def failed(argv, code, said):
    """The error's first line is for the report, which names no place on anybody's machine."""
    # Behind another program's `exec` stands the one that counts.
    program = os.path.basename(argv[argv.index("exec") + 1 if "exec" in argv else 0])
    return Failed("\n".join([f"{program} ended with {code}", " ".join(argv), *said.strip().splitlines()[-12:]]))


def own_peak():
    """The most memory that this program has had, in bytes."""
    return _high_water("self") or 0


def _high_water(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


class _Memory:
    """Looks at a process's memory again and again until it ends."""

    def __init__(self, pid):
        self.pid = pid
        self.peak = None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()

    def _watch(self):
        while not self.over.wait(0.02):
            seen = _high_water(self.pid)
            if seen:
                self.peak = seen

    def end(self):
        self.over.set()
        self.thread.join()


def _stat(path):
    """Fields of a stat file, from the state on (proc(5)): names may hold anything."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()


def _process(pid):
    """Seconds of processors that a process, and its first thread, have used so far."""
    try:
        whole = _stat(f"/proc/{pid}/stat")
        first = _stat(f"/proc/{pid}/task/{pid}/stat")
    except OSError:
        return 0.0, 0.0
    return tuple((int(fields[11]) + int(fields[12])) / TICKS for fields in (whole, first))


class ServerClock:
    """Seconds of processors that a server on this machine has used: its first process, those that
    it has seen end, and those that run."""

    def __init__(self, postmaster):
        self.postmaster = postmaster

    @classmethod
    def find(cls, session, database):
        """`session` is a program that prints the process id of its session and keeps it open."""
        child = subprocess.Popen(
            session, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        try:
            backend = child.stdout.readline().decode().strip()
            if not backend.isdigit():
                return None
            with open(f"/proc/{backend}/cmdline", encoding="utf-8", errors="replace") as title:
                # A server elsewhere has process ids of its own.
                if database not in title.read():
                    return None
            return cls(int(_stat(f"/proc/{backend}/stat")[1]))
        except OSError:
            return None
        finally:
            child.terminate()
            child.wait()
            child.stdout.close()

    def cpu(self):
        while True:
            own = self._own()
            total = sum(own) + sum(map(self._of_child, self._children()))
            # A process that ended meanwhile would count twice, or not at all.
            if own[2:] == self._own()[2:]:
                return total / TICKS

    def _own(self):
        return [int(field) for field in _stat(f"/proc/{self.postmaster}/stat")[11:15]]

    def _children(self):
        with open(f"/proc/{self.postmaster}/task/{self.postmaster}/children", encoding="ascii") as file:
            return file.read().split()

    def _of_child(self, pid):
        try:
            return sum(int(field) for field in _stat(f"/proc/{pid}/stat")[11:13])
        except OSError:
            return 0
