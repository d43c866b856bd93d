"""Writes what was measured into docs/benchmarks.md, each table between its two markers.

page.py DOCS/benchmarks.md [COMPARE.json] [GROWTH.json] [NET.txt] [PARTITIONED.txt] [INSTRUCTIONS.json]

A file that is not there leaves its table as it is.
"""

import json
import sys
from pathlib import Path

FIGURES = {
    "start": "start",
    "memory": "memory",
    "which": "list",
    "which-again": "list again",
    "terminate": "terminate",
    "shutdown": "shutdown",
    "restart-p50": "restart p50",
    "restart-p99": "restart p99",
    "storm": "storm",
}


def scaled(value, units):
    for unit, size in units:
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f} {units[-1][0]}"


def nanos(value):
    return scaled(value, (("s", 1e9), ("ms", 1e6), ("µs", 1e3), ("ns", 1)))


def size_of(value):
    return scaled(value, (("MB", 1e6), ("kB", 1e3), ("B", 1)))


def times(ratio):
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.3g}"


def row(cells):
    return "| " + " | ".join(cells) + " |"


def did_it_all(cell):
    """Whether it was measured, and ran the hooks that it was to run."""
    return cell["outcome"] == "measured" and not any("hooks ran" in note for note in cell["notes"])


def systems(measured):
    lines = [row(["", *FIGURES.values()]), row(["---"] + ["---:"] * len(FIGURES))]
    notes = []
    best = {}
    for name in FIGURES:
        values = [
            cell["value"]
            for system in measured["systems"]
            if system["name"] != "bare" and did_it_all(cell := system["figures"][name])
        ]
        best[name] = min(values, default=None)
    for system in measured["systems"]:
        cells = [system["label"]]
        for name in FIGURES:
            cell = system["figures"][name]
            marks = []
            for note in cell["notes"]:
                said = f"{system['label']}, {FIGURES[name]}: {note}."
                if said not in notes:
                    notes.append(said)
                marks.append(str(notes.index(said) + 1))
            mark = f" <sup>{', '.join(marks)}</sup>" if marks else ""
            if cell["outcome"] == "measured":
                form = size_of if name == "memory" else nanos
                text = form(cell["value"])
                if system["name"] != "bare":
                    text += f" (×{times(cell['ratio'])})"
                    if did_it_all(cell) and cell["value"] == best[name]:
                        text = f"**{text}**"
            else:
                text = cell["outcome"]
            cells.append(text + mark)
        lines.append(row(cells))
    machine = measured["machine"]
    said = [
        "",
        f"{measured['children']:,} children, medians of {measured['rounds']} rounds; in brackets the multiple of"
        " bare tokio; in bold the best supervisor of each column that ran all its hooks. "
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_kb'] / 1e6:.0f} GB, {machine['kernel']},"
        f" {machine['rustc']}, {machine['date']}; load when it began: {machine['load']}.",
        "",
    ]
    said += [f"{number}. {note}" for number, note in enumerate(notes, 1)]
    return lines + said


def growth(measured):
    lines = []
    for name, curve in measured.items():
        points = curve["points"]
        series = [key for key in points[0] if key != "size"]
        form = {"churn": size_of, "waves": size_of, "bare-waves": size_of}.get(name, nanos)
        lines += ["", f"`{name}`: {curve['said']}", "", row([name, *series]), row(["---:"] * (len(series) + 1))]
        for point in points:
            shown = [(size_of if key == "memory" else form)(point[key]) for key in series]
            lines.append(row([f"{point['size']:,}", *shown]))
    return lines[1:]


def instructions(measured):
    lines = [row(["", "ash-flare", "stateful", "bare tokio", "multiple"]), row(["---"] + ["---:"] * 4)]
    for one in measured:
        ratio = f"{one['ours'] / one['bare']:.2f}"
        lines.append(row([one["figure"], *(f"{one[key]:,}" for key in ("ours", "stateful", "bare")), ratio]))
    return lines


def put(page, name, lines):
    begin, end = f"<!-- {name}: made by `make page` -->", f"<!-- {name}: end -->"
    before, rest = page.split(begin)
    _, after = rest.split(end)
    return before + "\n".join([begin, "", *lines, "", end]) + after


def main():
    path = Path(sys.argv[1])
    page = path.read_text()
    for source in map(Path, sys.argv[2:]):
        if not source.exists():
            print(f"{source} is not there: its table stays as it is")
            continue
        text = source.read_text()
        match source.stem:
            case "compare":
                page = put(page, "systems", systems(json.loads(text)))
            case "growth":
                page = put(page, "growth", growth(json.loads(text)))
            case "instructions":
                page = put(page, "instructions", instructions(json.loads(text)))
            case "figures" | "net" | "partitioned":
                page = put(page, source.stem, ["```text", *text.rstrip().splitlines(), "```"])
            case other:
                sys.exit(f"no table is made of {other}")
    path.write_text(page)


main()
