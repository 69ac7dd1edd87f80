"""What is measured: pgark and a peer in turn, and pgark beside the machine's limit."""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from . import parts
from .measure import Failed, Missing, Usage, run

HERE = pathlib.Path(__file__).parent
MEBIBYTE = 1 << 20

# What can be chosen, in the report's order.
ROWS = {
    "mixed": "backup, mixed database; archive size",
    "tx": "backup, one large table",
    "gzip": "backup, beside pg_dump's own default",
    "restore": "restore into an empty database",
    "many": "backup, many small tables",
    "copy": "copy from database to database",
    "bound": "backup beside the machine's limit",
    "growth": "time and memory as data and tables grow",
    "parts": "phases of a backup and a restore, with 1, 2 and 4 workers",
}


@dataclasses.dataclass
class Contest:
    """A row of the report: `pgark` and `other` each do the work once and give a Usage."""

    key: str
    work: str
    peer: str
    goal: float | None
    pgark: object
    other: object


class Bench:
    """A run: the server, the program, what was chosen, and what has come of it."""

    def __init__(self, server, options, work):
        self.server = server
        self.options = options
        self.work = work
        self.number = 0
        self.kept = {}
        self.zstd = None
        self.failed = False
        self.results = {"contests": [], "growth": [], "parts": [], "left_out": {}}

    def say(self, text):
        if not self.options.quiet:
            print(f"bench: {text}", file=sys.stderr, flush=True)

    # Databases. Each is made when it is first asked for.

    def database(self, name, script=None, **variables):
        if name not in self.kept:
            self.say(f"making database {name}")
            made = self.server.create(name)
            self.server.sql(made, (HERE / script).read_text(), **variables)
            self.server.settle()
            self.kept[name] = made
        return self.kept[name]

    def mixed(self):
        if self.options.database:
            return self.options.database
        return self.database("mixed", "mixed.sql", rows=self.options.rows)

    def many(self, tables=None):
        tables = tables or self.options.tables
        return self.database(f"tables_{tables}", "small_tables.sql", tables=tables)

    def forget(self, name):
        self.server.drop(self.kept.pop(name))

    def target(self):
        """An empty database to restore into."""
        self.number += 1
        name = self.server.create(f"target_{self.number}")
        self.server.settle()
        return name

    # pgark. Everything that verifies is on, as it is unless somebody turns it off.

    def repository(self):
        return tempfile.mkdtemp(prefix="repo-", dir=self.work)

    def backup(self, database, repository, *more, jobs=None, listen=None):
        argv = [self.options.pgark, "backup", "--url", self.server.url(database), "--repo", repository]
        argv += ["--jobs", str(jobs or self.options.jobs), "--level", "1", "--no-migrations", *more]
        return run(argv, clock=self.server.clock, listen=listen)

    def restore(self, archive, target, jobs=None, listen=None):
        argv = [self.options.pgark, "restore", archive, "--url", self.server.url(target)]
        argv += ["--jobs", str(jobs or self.options.jobs)]
        return run(argv, clock=self.server.clock, listen=listen)

    def copy(self, source, target):
        argv = [self.options.pgark, "copy", self.server.url(source), self.server.url(target)]
        argv += ["--jobs", str(self.options.jobs)]
        return run(argv, clock=self.server.clock)

    def backed_up(self, database, *more):
        """A backup that is thrown away; gives what it took, and its size."""
        repository = self.repository()
        try:
            usage = self.backup(database, repository, *more)
            return usage, os.path.getsize(archive_in(repository))
        finally:
            shutil.rmtree(repository)

    # The peers.

    def dump_flags(self):
        """Compression of pg_dump: zstd from PostgreSQL 16 on, where it was built with it."""
        if self.zstd is None:
            path = f"{self.server.folder}/probe"
            probe = ["pg_dump", "-Fd", "-Z", "zstd:1", "--schema-only", "-f", path, "-d", "postgres"]
            asked = self.server.command(probe)
            done = subprocess.run(asked, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.zstd = done.returncode == 0
            self.server.put_away(path)
        return ["-Z", "zstd:1"] if self.zstd else ["-Z", "1"]

    def dumped(self, database, *flags, keep=False):
        """A dump; gives what it took, and its size, or its place."""
        self.number += 1
        path = f"{self.server.folder}/dump-{self.number}"
        usage = self.server.measure(["pg_dump", *flags, "-f", path, "-d", database])
        if keep:
            return usage, path
        size = self.server.size(path)
        self.server.put_away(path)
        return usage, size

    # The rows of the report.

    def contest(self, contest):
        """One run of each to warm up, and then in turn."""
        runs = []
        for number in range(1 - self.options.warm_up, self.options.runs + 1):
            pair = {}
            for who in ("pgark", "other"):
                usage, *more = getattr(contest, who)()
                pair[who] = usage
                if more:
                    pair[f"{who}_bytes"] = more[0]
            self.say(
                f"{contest.key} {number or 'warm-up'}: pgark {pair['pgark'].wall:.2f} s, "
                f"{contest.peer.split()[0]} {pair['other'].wall:.2f} s"
            )
            if number:
                runs.append(pair)
        row = {"key": contest.key, "work": contest.work, "peer": contest.peer, "goal": contest.goal}
        self.results["contests"].append({**row, "runs": runs})

    def measure_mixed(self):
        mixed, flags = self.mixed(), ["-Fd", f"-j{self.options.jobs}", *self.dump_flags()]
        self.contest(
            Contest(
                "mixed",
                "backup, mixed database",
                f"pg_dump {' '.join(flags)}",
                0.82,
                lambda: self.backed_up(mixed),
                lambda: self.dumped(mixed, *flags),
            )
        )

    def measure_tx(self):
        mixed, flags = self.mixed(), ["-Fd", f"-j{self.options.jobs}", *self.dump_flags()]
        if self.server.sql(mixed, "select to_regclass('public.tx');") == "":
            raise Missing("the database has no table public.tx")
        self.contest(
            Contest(
                "tx",
                "backup, one large table",
                f"pg_dump {' '.join(flags)} -t tx",
                0.82,
                lambda: self.backed_up(mixed, "--table", "public.tx"),
                lambda: self.dumped(mixed, *flags, "-t", "public.tx"),
            )
        )

    def measure_gzip(self):
        mixed = self.mixed()
        self.contest(
            Contest(
                "gzip",
                "backup, mixed database",
                "pg_dump -Fc",
                0.20,
                lambda: self.backed_up(mixed),
                lambda: self.dumped(mixed, "-Fc"),
            )
        )

    def measure_restore(self):
        mixed, flags = self.mixed(), ["-Fd", f"-j{self.options.jobs}", *self.dump_flags()]
        repository = self.repository()
        self.backup(mixed, repository)
        archive = archive_in(repository)
        _, dump = self.dumped(mixed, *flags, keep=True)
        self.contest(
            Contest(
                "restore",
                "restore into an empty database, with indexes and keys",
                f"pg_restore -j{self.options.jobs}",
                0.70,
                lambda: self.into_target(lambda target: self.restore(archive, target)),
                lambda: self.into_target(
                    lambda target: self.server.measure(
                        ["pg_restore", f"-j{self.options.jobs}", "-d", target, dump]
                    )
                ),
            )
        )
        shutil.rmtree(repository)
        self.server.put_away(dump)

    def into_target(self, restore):
        target = self.target()
        try:
            return (restore(target),)
        finally:
            self.server.drop(target)

    def measure_many(self):
        many = self.many()
        self.contest(
            Contest(
                "many",
                f"backup, {self.options.tables:,} small tables",
                f"pg_dump -Fd -j{self.options.jobs}",
                0.50,
                lambda: self.backed_up(many),
                lambda: self.dumped(many, "-Fd", f"-j{self.options.jobs}"),
            )
        )

    def measure_copy(self):
        if not self.server.has("pgcopydb"):
            raise Missing("there is no pgcopydb")
        mixed, jobs = self.mixed(), self.options.jobs
        flags = ["--table-jobs", str(jobs), "--index-jobs", str(jobs)]
        flags += ["--split-tables-larger-than", "200MB"]
        self.contest(
            Contest(
                "copy",
                "copy from database to database",
                f"pgcopydb clone {' '.join(flags)}",
                0.70,
                lambda: self.into_target(lambda target: self.copy(mixed, target)),
                lambda: self.into_target(lambda target: self.cloned(mixed, target, flags)),
            )
        )

    def cloned(self, source, target, flags):
        folder = f"{self.server.folder}/clone-{target}"
        argv = ["pgcopydb", "clone", "--dir", folder, *flags]
        try:
            return self.server.measure(
                [*argv, "--source", f"dbname={source}", "--target", f"dbname={target}"]
            )
        finally:
            self.server.put_away(folder)

    def measure_bound(self):
        """What the server needs to put the rows into text, and zstd to compress that."""
        if not self.server.clock:
            raise Missing("the server does not run on this machine")
        may = "select pg_has_role('pg_write_server_files', 'usage') or current_setting('is_superuser')::bool;"
        if self.server.sql("postgres", may) != "t":
            raise Missing("the role may not COPY to a file of the server")
        mixed = self.mixed()
        tables = self.server.sql(
            mixed,
            "select oid::regclass from pg_class where relkind = 'r' and oid >= 16384 order by 1;",
        ).split("\n")
        found = []
        for _ in range(min(self.options.runs, 3)):
            psql = ["psql", "-X", "-q", "-d", mixed]
            nowhere = [part for table in tables for part in ("-c", f"copy {table} to '/dev/null'")]
            server = self.server.measure([*psql, *nowhere]).server
            texts = [part for table in tables for part in ("-c", f"copy {table} to stdout")]
            source = subprocess.Popen(
                self.server.command([*psql, *texts]), stdout=subprocess.PIPE
            )
            zstd = ["zstd", "-1", "-q", "-c", "--single-thread"]
            zstd = run(self.server.command(zstd), stdin=source.stdout).less(self.server.start).cpu
            source.stdout.close()
            if source.wait() != 0:
                raise Failed("psql could not read the tables")
            found.append({"server": server, "zstd": zstd})
            self.say(f"bound: COPY to /dev/null {server:.2f} s, zstd -1 {zstd:.2f} s")
        self.results["bound"] = found

    def measure_growth(self):
        base = self.options.growth_rows
        for times in self.options.growth:
            name = f"ledger_{times}"
            self.database(name, "ledger.sql", rows=base * times)
            self.grown("data", times, self.kept[name])
            self.forget(name)
        room = self.server.room_for_locks()
        for tables in self.options.growth_tables:
            # The leader and every worker lock each table.
            needed = tables * (1 + self.options.jobs)
            if needed > room:
                said = f"{needed} locks are needed and max_locks_per_transaction allows {room}"
                self.results["left_out"][f"growth, {tables:,} tables"] = said
                continue
            self.grown("tables", tables, self.many(tables))
            if tables != self.options.tables:
                self.forget(f"tables_{tables}")

    def grown(self, what, size, database):
        flags = ["-Fd", f"-j{self.options.jobs}", *self.dump_flags()]
        backups, dumps = [], []
        for _ in range(self.options.growth_runs):
            backups.append(self.backed_up(database)[0])
            dumps.append(self.dumped(database, *flags)[0])
        repository = self.repository()
        self.backup(database, repository)
        archive = archive_in(repository)
        restores = [self.into_target(lambda target: self.restore(archive, target))[0]]
        row = {"what": what, "size": size, "text_bytes": text_bytes(repository)}
        shutil.rmtree(repository)
        self.results["growth"].append({**row, "backup": backups, "dump": dumps, "restore": restores})
        self.say(
            f"growth, {size:,} {what}: backup {backups[-1].wall:.2f} s, pg_dump {dumps[-1].wall:.2f} s, "
            f"restore {restores[-1].wall:.2f} s, pgark's peak "
            f"{max(usage.peak or 0 for usage in backups + restores) / MEBIBYTE:.0f} MiB"
        )

    def measure_parts(self):
        for label, database in (("mixed", self.mixed()), (f"{self.options.tables:,} tables", self.many())):
            self.results["parts"].append(parts.measure(self, label, database))

    def run(self, rows):
        """Measures what was chosen. What cannot be measured is said, and the rest goes on."""
        for key in rows:
            try:
                getattr(self, f"measure_{key}")()
            except Failed as failure:
                print(f"bench: {key}: not measured: {failure}", file=sys.stderr, flush=True)
                self.results["left_out"][ROWS[key]] = str(failure).splitlines()[0]
                self.failed |= not isinstance(failure, Missing)
        self.results["peer_start"] = self.server.start
        self.results["checkpoints"] = self.server.checkpoints


def archive_in(repository):
    [archive] = pathlib.Path(repository, "backups").glob("*.tar")
    return str(archive)


def text_bytes(repository):
    """Bytes of COPY text in the archive, as its manifest says."""
    [manifest] = pathlib.Path(repository, "manifests").glob("*.json")
    tables = json.loads(manifest.read_text())["tables"]
    return sum(table["bytes"] for table in tables)
