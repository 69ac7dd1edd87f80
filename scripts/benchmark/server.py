"""The server that everything is measured on, and the programs of the peers."""

import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time

from .measure import Failed, ServerClock, Usage, failed, run

# All databases that a run makes begin so, with its process id behind.
PREFIX = f"pgark_bench_{os.getpid()}_"


class Server:
    """A server that libpq's variables lead to (PGHOST, PGPORT, PGUSER …), and programs on the PATH;
    or, with `peers`, whatever that command has set up:

        COMMAND exec PROGRAM ARGUMENT…    runs a program of the peers against the server
        COMMAND url DATABASE              a connection string for programs outside
    """

    def __init__(self, peers, work):
        self.peers = peers
        self.made = []
        self.clock = None
        self.checkpoints = True
        self.start = Usage(0, 0, 0, None, None)
        if peers:
            self.folder = self.ask(["mktemp", "-d", "/tmp/pgark-bench.XXXXXX"]).strip()
            starts = [run(self.command(["true"])) for _ in range(7)]
            middle = lambda part: statistics.median(getattr(start, part) for start in starts)
            self.start = Usage(middle("wall"), middle("user"), middle("system"), None, None)
        else:
            self.folder = tempfile.mkdtemp(prefix="pgark-bench-peers-", dir=work)

    def command(self, argv):
        """How a program of the peers is run."""
        return [*self.peers, "exec", *argv] if self.peers else argv

    def url(self, database):
        """A connection string for pgark."""
        if not self.peers:
            return f"dbname={database}"
        return subprocess.check_output([*self.peers, "url", database], text=True).strip()

    def ask(self, argv, **more):
        """Runs a program of the peers and gives what it prints."""
        argv = self.command(argv)
        done = subprocess.run(argv, capture_output=True, text=True, **more)
        if done.returncode != 0:
            raise failed(argv, done.returncode, done.stderr)
        return done.stdout

    def has(self, program):
        """Whether a program of the peers is there."""
        asked = self.command(["sh", "-c", f"command -v {program}"])
        return subprocess.run(asked, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0

    def sql(self, database, text, **variables):
        """Runs SQL, and gives what it returns, a row in a line, fields between bars."""
        given = [part for name, value in variables.items() for part in ("-v", f"{name}={value}")]
        argv = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *given, "-d", database, "-f", "-"]
        return self.ask(argv, input=text).strip()

    def measure(self, argv, **how):
        """Runs a program of the peers to its end; what starting it through the peers' command takes
        is not counted."""
        usage = run(self.command(argv), clock=self.clock, forks=True, **how)
        return usage.less(self.start)

    def create(self, name):
        """An empty database; gives its name."""
        name = PREFIX + name
        self.made.append(name)
        for attempt in range(50):
            try:
                self.sql("postgres", f"create database {name} template template0;")
                break
            except Failed as failure:
                # The template has one copier at a time.
                if "is being accessed" not in str(failure) or attempt == 49:
                    raise
                time.sleep(0.2)
        if not self.clock:
            session = ["psql", "-X", "-q", "-A", "-t", "-d", name]
            session += ["-c", "select pg_backend_pid()", "-c", "select pg_sleep(10)"]
            self.clock = ServerClock.find(self.command(session), name)
        return name

    def drop(self, name):
        self.sql("postgres", f"drop database if exists {name} with (force);")
        self.made.remove(name)

    def settle(self):
        """Leaves no work of earlier runs to the one that comes, if the role may."""
        if self.checkpoints:
            try:
                self.sql("postgres", "checkpoint;")
            except Failed:
                self.checkpoints = False

    def put_away(self, path):
        """Removes a folder or file that a peer has written."""
        assert path.startswith(self.folder + "/")
        self.ask(["rm", "-rf", path])

    def size(self, path):
        """Bytes of all files in a folder of the peers."""
        sizes = self.ask(["find", path, "-type", "f", "-printf", "%s\n"])
        return sum(map(int, sizes.split()))

    def room_for_locks(self):
        """How many locks on tables the server has room for."""
        asked = "select current_setting('max_locks_per_transaction')::int * (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int);"
        return int(self.sql("postgres", asked))

    def version(self):
        return self.sql("postgres", "show server_version;")

    def settings(self):
        """Settings that matter for speed."""
        names = ["shared_buffers", "fsync", "max_wal_size", "maintenance_work_mem", "wal_level"]
        rows = "select string_agg(format('%s = %s', name, current_setting(name)), ', ') from unnest(array['"
        return self.sql("postgres", rows + "','".join(names) + "']) as name;")

    def program_version(self, program):
        """The number that `PROGRAM --version` says, or None."""
        if not self.has(program):
            return None
        done = subprocess.run(self.command([program, "--version"]), capture_output=True, text=True)
        found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
        return found.group() if found else None

    def close(self):
        """Removes all that was made."""
        for name in list(self.made):
            self.drop(name)
        if self.peers:
            self.ask(["rm", "-rf", self.folder])
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
