"""A report in Markdown from the results of a run."""

import pathlib
import statistics

from . import parts
from .contests import MEBIBYTE, ROWS

BEGIN = "<!-- scripts/bench writes from here … -->"
END = "<!-- … to here -->"

BOUND_GOAL = 1.25
MEMORY_GOAL = 128 * MEBIBYTE
SIZE_GOAL = 1.00


def write(path, results, plot):
    """Puts the report into a file: between its markers, or as the whole of it."""
    text = f"{BEGIN}\n\n{report(results, plot)}\n{END}"
    path = pathlib.Path(path)
    old = path.read_text() if path.exists() else ""
    if BEGIN in old and END in old:
        before, rest = old.split(BEGIN, 1)
        text = before + text + rest.split(END, 1)[1]
    else:
        text = f"# pgark beside its peers\n\n{text}\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def report(results, plot):
    sections = [about(results), verdicts(results)]
    if results["contests"]:
        sections += [costs(results)]
    if plot:
        sections += [f"![Ratios and growth]({plot})"]
    sections += [growth(results), scaling(results), left_out(results)]
    return "\n\n".join(section for section in sections if section) + "\n"


def about(results):
    machine, options = results["machine"], results["options"]
    lines = [
        f"### Measured on {machine['date']}",
        "",
        f"- {machine['processor']}, {machine['cores']} cores, {gib(machine['memory'])} GiB of memory, {machine['system']}",
        f"- pgark {machine['pgark']}; PostgreSQL {machine['server']} ({machine['settings']}); "
        + "; ".join(
            f"{name} {machine[name] or 'not there'}" for name in ("pg_dump", "pgcopydb", "zstd")
        ),
        f"- {options['jobs']} workers, zstd level 1, {options['runs']} run{'s' if options['runs'] > 1 else ''} of each in turn"
        + (" after one to warm up" if options["warm_up"] else "")
        + ". Every backup of pgark was synced, read again and verified; every restore was read back "
        "and proved.",
    ]
    if options["database"]:
        lines.append("- The mixed database was one of the user's own.")
    else:
        lines.append(f"- The mixed database has {options['rows']:,} rows in its large table.")
    if results["peer_start"].wall > 0:
        taken = results["peer_start"].wall * 1000
        lines.append(f"- {taken:.0f} ms that starting a peer's program takes are not counted.")
    if not results["checkpoints"]:
        lines.append("- The role may not CHECKPOINT: runs also did what earlier ones had left to do.")
    if machine["load"] > 0.5:
        lines.append(
            f"- **The machine was not quiet** (load {machine['load']:.1f} before the first run): the "
            "seconds are provisional, the counts of seconds of processors less so."
        )
    if options["quick"]:
        lines.append("- **A quick run**: the databases are too small to judge by.")
    return "\n".join(lines)


def verdicts(results):
    """The table of the goals."""
    rows = []
    for contest in results["contests"]:
        ratios = [run["pgark"].wall / run["other"].wall for run in contest["runs"]]
        rows.append(
            [
                contest["work"],
                f"`{contest['peer']}`",
                seconds(run["pgark"].wall for run in contest["runs"]),
                seconds(run["other"].wall for run in contest["runs"]),
                *judged(ratios, contest["goal"]),
            ]
        )
        if contest["key"] == "mixed":
            rows.append(size_row(contest))
    bound = bound_row(results)
    rows += [bound] if bound else []
    rows.append(memory_row(results))
    head = ["work", "peer", "pgark", "peer", "pgark ÷ peer", "goal", "met"]
    return table(head, rows) + (
        "\n\nTimes are medians in seconds of the clock, with the fastest and the slowest run; the ratio is "
        "the median of the runs' pairs, with the least and the greatest."
    )


def size_row(contest):
    ratios = [run["pgark_bytes"] / run["other_bytes"] for run in contest["runs"]]
    sizes = [
        f"{statistics.median(run[f'{who}_bytes'] for run in contest['runs']) / MEBIBYTE:.1f} MiB"
        for who in ("pgark", "other")
    ]
    return ["archive size, mixed database", f"`{contest['peer']}`", *sizes, *judged(ratios, SIZE_GOAL, digits=3)]


def bound_of(results):
    """Seconds that the server and zstd need at least, with all workers busy."""
    parts_of_it = [run["server"] + run["zstd"] for run in results["bound"]]
    workers = min(results["options"]["jobs"], results["machine"]["cores"])
    return statistics.median(parts_of_it) / workers


def bound_row(results):
    mixed = [contest for contest in results["contests"] if contest["key"] == "mixed"]
    if "bound" not in results or not mixed:
        return None
    bound = bound_of(results)
    server = statistics.median(run["server"] for run in results["bound"])
    zstd = statistics.median(run["zstd"] for run in results["bound"])
    workers = min(results["options"]["jobs"], results["machine"]["cores"])
    what = f"(`COPY … TO '/dev/null'` {server:.2f} + `zstd -1` {zstd:.2f} seconds of processors) ÷ {workers}"
    walls = [run["pgark"].wall for run in mixed[0]["runs"]]
    ratios = [wall / bound for wall in walls]
    return [
        "backup beside the limit",
        what,
        seconds(walls),
        f"{bound:.2f}",
        *judged(ratios, BOUND_GOAL),
    ]


def memory_row(results):
    peaks = [usage.peak for usage in all_of_pgark(results) if usage.peak]
    if not peaks:
        return ["peak memory of pgark, all of these runs", "–", "unknown", "–", "–", "≤ 128 MiB", "–"]
    met = "yes" if max(peaks) <= MEMORY_GOAL else "**no**"
    return ["peak memory of pgark, all of these runs", "–", mib(max(peaks)), "–", "–", "≤ 128 MiB", met]


def all_of_pgark(results):
    for contest in results["contests"]:
        yield from (run["pgark"] for run in contest["runs"])
    # What grows with the number of tables has a curve of its own.
    for row in results["growth"]:
        if row["what"] == "data":
            yield from row["backup"] + row["restore"]


def judged(ratios, goal, digits=2):
    middle = statistics.median(ratios)
    told = f"**{middle:.{digits}f}** ({min(ratios):.{digits}f} – {max(ratios):.{digits}f})"
    return [told, f"≤ {goal:.2f}", "yes" if round(middle, digits) <= goal else "**no**"]


def costs(results):
    """Seconds of processors, and memory."""
    rows = []
    for contest in results["contests"]:
        for who, name in (("pgark", "pgark"), ("other", f"`{contest['peer'].split(' -')[0]}`")):
            usages = [run[who] for run in contest["runs"]]
            middle = lambda part: statistics.median(part(usage) for usage in usages)
            server = "unknown"
            if None not in [usage.server for usage in usages]:
                server = f"{middle(lambda usage: usage.server):.2f}"
            peaks = [usage.peak for usage in usages if usage.peak]
            rows.append(
                [
                    contest["work"] + (f" ({contest['peer']})" if contest["key"] == "gzip" else ""),
                    name,
                    f"{middle(lambda usage: usage.user):.2f}",
                    f"{middle(lambda usage: usage.system):.2f}",
                    server,
                    mib(max(peaks)) if peaks else "–",
                ]
            )
    head = ["work", "program", "its user time", "its system time", "the server's time", "peak memory"]
    return "Seconds of processors, medians; memory of the largest process:\n\n" + table(head, rows)


def growth(results):
    sections = []
    heads = {
        "data": ("one table of", lambda row: f"{row['text_bytes'] / MEBIBYTE:,.1f} MiB of COPY text"),
        "tables": ("tables", lambda row: f"{row['size']:,}"),
    }
    for what, (title, label) in heads.items():
        rows = []
        for row in [row for row in results["growth"] if row["what"] == what]:
            middle = lambda usages: f"{statistics.median(usage.wall for usage in usages):.2f}"
            peak = lambda usages: mib(max((usage.peak or 0 for usage in usages), default=0))
            rows.append(
                [
                    label(row),
                    middle(row["backup"]),
                    middle(row["dump"]),
                    middle(row["restore"]),
                    peak(row["backup"]),
                    peak(row["restore"]),
                ]
            )
        if rows:
            head = [title, "backup, s", "pg_dump, s", "restore, s", "memory of backup", "memory of restore"]
            sections.append(table(head, rows))
    return "#### Growth\n\n" + "\n\n".join(sections) if sections else ""


def scaling(results):
    sections = []
    for found in results["parts"]:
        for verb in ("backup", "restore"):
            sections.append(f"{verb.capitalize()} of {found['label']}:\n\n" + scaling_table(found[verb]))
    if not sections:
        return ""
    return (
        "#### Phases, and more cores\n\n"
        "Seconds with 1, 2 and 4 workers on this machine; then what all processors together, client and "
        "server, and the first thread alone use with one worker; then what follows for more cores with as "
        "many workers. Nothing here waits for a disk or a network: at those speeds they may be the limit.\n\n"
        + "\n\n".join(sections)
    )


def scaling_table(by_jobs):
    by_jobs = {int(jobs): phases for jobs, phases in by_jobs.items()}
    one = by_jobs[1]
    computed = {cores: parts.computed(one, cores) for cores in parts.CORES}
    rows = []
    for position, phase in enumerate(one):
        walls = []
        for jobs in parts.JOBS:
            same = [other["wall"] for other in by_jobs[jobs] if other["name"] == phase["name"]]
            walls.append(f"{same[0]:.2f}" if same else "–")
        shared = phase["name"] in parts.SHARED
        together = phase["client"] + (phase["server"] or 0)
        estimates = [f"{computed[cores][position][1]:.2f}" for cores in parts.CORES]
        name = phase["name"] + (" (shared)" if shared else "")
        rows.append([name, *walls, f"{together:.2f}", f"{phase['main']:.2f}", *estimates])
    sums = [f"{sum(phase['wall'] for phase in by_jobs[jobs]):.2f}" for jobs in parts.JOBS]
    estimates = [f"{sum(value for _, value in computed[cores]):.2f}" for cores in parts.CORES]
    rows.append(["**all**", *sums, "", "", *estimates])
    head = ["phase", *(f"{jobs} w" for jobs in parts.JOBS), "all processors", "first thread"]
    return table([*head, *(f"{cores} cores" for cores in parts.CORES)], rows)


def left_out(results):
    lines = [f"- {what}: {why}" for what, why in results["left_out"].items()]
    missing = [ROWS[key] for key in ROWS if key not in results["options"]["chosen"]]
    lines += [f"- {what}: not chosen" for what in missing]
    return "Not measured:\n\n" + "\n".join(lines) if lines else ""


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def seconds(walls):
    walls = list(walls)
    return f"{statistics.median(walls):.2f} ({min(walls):.2f} – {max(walls):.2f})"


def mib(amount):
    return f"{amount / MEBIBYTE:.0f} MiB" if amount else "unknown"


def gib(amount):
    return f"{amount / MEBIBYTE / 1024:.0f}"
