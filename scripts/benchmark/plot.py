"""The report's picture: bars of ratios beside their goals, and curves of growth."""

import math
import statistics
from html import escape

from .contests import MEBIBYTE

WIDTH, MARGIN = 860, 20
PGARK, PEER, GOAL, GRID, INK = "#1f6f8b", "#b08968", "#c0392b", "#d9d9d9", "#222222"


def draw(results):
    """The picture as SVG."""
    drawing = []
    bottom = bars(drawing, results)
    charts = [
        ("seconds by size", "MiB of COPY text", "data", lambda row: row["text_bytes"] / MEBIBYTE, wall),
        ("seconds by tables", "tables", "tables", lambda row: row["size"], wall),
        ("memory of pgark, MiB, by size", "MiB of COPY text", "data", lambda row: row["text_bytes"] / MEBIBYTE, peak),
    ]
    left = MARGIN
    for title, below, what, across, up in charts:
        rows = [row for row in results["growth"] if row["what"] == what]
        if len(rows) > 1:
            chart(drawing, left, bottom + 30, title, below, *curves(rows, across, up))
            left += 280
    height = bottom + (290 if left > MARGIN else 20)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
            f'font-family="sans-serif" font-size="12" fill="{INK}" role="img">',
            f"<title>pgark beside its peers, {escape(results['machine']['date'])}</title>",
            f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>',
            *drawing,
            "</svg>",
            "",
        ]
    )


def text(x, y, words, anchor="start", size=12, color=INK):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{color}">{escape(words)}</text>'


def line(x1, y1, x2, y2, color, width=1):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" stroke-width="{width}"/>'


def bars(drawing, results):
    """Wall time of pgark by that of the peer; gives where they end."""
    top, left, right = 50, 330, WIDTH - 70
    drawing.append(text(MARGIN, 24, "Time of pgark ÷ time of the peer, with the range of the runs; less is faster", size=14))
    all_ratios = [[run["pgark"].wall / run["other"].wall for run in c["runs"]] for c in results["contests"]]
    most = max([1.0, *(max(ratios) for ratios in all_ratios)])
    at = lambda ratio: left + (right - left) * ratio / most
    bottom = top + 30 * len(all_ratios)
    for tenth in range(0, int(most * 10) + 1, 2 if most < 3 else 10):
        drawing.append(line(at(tenth / 10), top - 12, at(tenth / 10), bottom, GRID))
        drawing.append(text(at(tenth / 10), bottom + 14, f"{tenth / 10:.1f}", "middle", 11))
    for number, (contest, ratios) in enumerate(zip(results["contests"], all_ratios)):
        y, middle = top + 30 * number, statistics.median(ratios)
        label = f"{contest['work'].split(' (')[0].split(', with')[0]} / {contest['peer'].split()[0]}"
        if contest["key"] == "gzip":
            label += " gzip"
        drawing.append(text(left - 8, y + 9, label, "end"))
        drawing.append(f'<rect x="{left}" y="{y - 4}" width="{at(middle) - left:.1f}" height="16" fill="{PGARK}"/>')
        drawing.append(line(at(min(ratios)), y + 4, at(max(ratios)), y + 4, INK))
        drawing.append(line(at(contest["goal"]), y - 8, at(contest["goal"]), y + 16, GOAL, 2))
        drawing.append(text(right + 8, y + 9, f"{middle:.2f}"))
    drawing.append(text(left, bottom + 30, "red: the goal", size=11, color=GOAL))
    return bottom + 30


def wall(usages):
    return statistics.median(usage.wall for usage in usages)


def peak(usages):
    return max(usage.peak or 0 for usage in usages) / MEBIBYTE


def curves(rows, across, up):
    """Points of every curve, and their names and colours."""
    found = [("backup", PGARK, [(across(row), up(row["backup"])) for row in rows])]
    if up is wall:
        found.append(("pg_dump", PEER, [(across(row), up(row["dump"])) for row in rows]))
    found.append(("restore", "#6a4c93", [(across(row), up(row["restore"])) for row in rows]))
    return [[(name, color, [point for point in points if min(point) > 0]) for name, color, points in found]]


def chart(drawing, left, top, title, below, found):
    """Curves on logarithmic scales."""
    width, height = 210, 190
    points = [point for _, _, points in found for point in points]
    if not points:
        return
    spans = []
    for axis in (0, 1):
        low, high = min(point[axis] for point in points), max(point[axis] for point in points)
        spans.append((math.floor(math.log10(low)), max(math.ceil(math.log10(high)), math.floor(math.log10(low)) + 1)))
    (x_from, x_to), (y_from, y_to) = spans
    x = lambda value: left + 40 + width * (math.log10(value) - x_from) / (x_to - x_from)
    y = lambda value: top + 20 + height * (1 - (math.log10(value) - y_from) / (y_to - y_from))
    drawing.append(text(left + 40, top + 6, title, size=13))
    for power in range(x_from, x_to + 1):
        drawing.append(line(x(10.0**power), y(10.0**y_from), x(10.0**power), y(10.0**y_to), GRID))
        drawing.append(text(x(10.0**power), top + height + 34, f"{10.0**power:,g}", "middle", 10))
    for power in range(y_from, y_to + 1):
        drawing.append(line(x(10.0**x_from), y(10.0**power), x(10.0**x_to), y(10.0**power), GRID))
        drawing.append(text(left + 36, y(10.0**power) + 4, f"{10.0**power:g}", "end", 10))
    drawing.append(text(left + 40 + width / 2, top + height + 48, below, "middle", 10))
    for number, (name, color, points) in enumerate(found):
        path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in points)
        drawing.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        drawing += [f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="3" fill="{color}"/>' for a, b in points]
        drawing.append(text(left + 46, top + 34 + 14 * number, name, size=11, color=color))
