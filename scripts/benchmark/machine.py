"""What a report must say of where it was made."""

import datetime
import os
import pathlib
import platform
import subprocess


def describe(server, pgark, project):
    """Date, machine, and versions."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": memory(),
        "system": f"{platform.system()} {platform.release()}",
        "load": os.getloadavg()[0],
        "server": server.version(),
        "settings": server.settings(),
        "same_machine": server.clock is not None,
        "pgark": version(pgark, project),
        "pg_dump": server.program_version("pg_dump"),
        "pgcopydb": server.program_version("pgcopydb"),
        "zstd": server.program_version("zstd"),
    }


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def memory():
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0


def version(pgark, project):
    """What the program says, and the commit of the sources beside this script."""
    said = subprocess.check_output([pgark, "--version"], text=True).strip().removeprefix("pgark ")
    commit = subprocess.run(
        ["git", "-C", str(project), "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    )
    return f"{said} ({commit.stdout.strip()})" if commit.returncode == 0 else said
