"""Draws what `make bench` and `make growth` measured, for the README and the docs.

plot.py FIGURES.json DOCS     docs/benchmarks.svg, the systems beside bare tokio
plot.py GROWTH.json DOCS      docs/growth.svg, what grows with what
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, NullLocator

INK, FAINT, OURS, OTHERS = "#1f2328", "#d0d7de", "#c2410c", "#57606a"
PANELS = {
    "start": "start a child, awaited",
    "memory": "memory of an idle child",
    "which": "list all children, first time",
    "which-again": "list all children, again",
    "terminate": "end a child, in random order",
    "shutdown": "shut down all children, hooks run",
    "restart-p50": "crash to next incarnation, median",
    "restart-p99": "crash to next incarnation, 99th percentile",
    "storm": "a restart of 100 children that crash at once",
}


def style():
    plt.rcParams.update(
        {
            "svg.hashsalt": "ash-flare",
            "svg.fonttype": "none",
            "font.family": "sans-serif",
            "font.size": 9,
            "text.color": INK,
            "axes.edgecolor": FAINT,
            "axes.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "axes.titlesize": 10,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )


def nanos(value, _=None):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g} ns"


def size_of(value, _=None):
    for unit, size in (("MB", 1e6), ("kB", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g} B"


def times(ratio):
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.3g}"


def compare(measured, folder):
    systems = measured["systems"]
    columns, rows = 2, (len(PANELS) + 1) // 2
    height = 0.6 + 0.21 * len(systems)
    figure, axes = plt.subplots(rows, columns, figsize=(11, height * rows), sharey=True)
    for axis in axes.flat[len(PANELS) :]:
        axis.set_visible(False)
    for axis, (name, title) in zip(axes.flat, PANELS.items()):
        panel(axis, name, title, systems)
    machine = measured["machine"]
    figure.suptitle(
        f"{measured['children']:,} children, log scale, left is better; × is the multiple of bare tokio; * has a note in docs/benchmarks.md\n"
        f"{machine['cpu']}, {machine['cores']} cores, {machine['kernel']}, {machine['rustc']}, {machine['date']}",
        x=0.01,
        ha="left",
        fontsize=9,
    )
    figure.tight_layout(rect=(0, 0, 1, 0.985))
    save(figure, folder / "benchmarks.svg")


def panel(axis, name, title, systems):
    form = size_of if name == "memory" else nanos
    cells = [system["figures"][name] for system in systems]
    values = [cell["value"] for cell in cells if cell["outcome"] == "measured"]
    low, high = min(values) / 1.6, max(values) * 1.6
    middle = (low * high) ** 0.5
    axis.set_xscale("log")
    # Room for the labels at the right of the dots.
    axis.set_xlim(low, high * (high / low) ** 0.45)
    axis.set_ylim(len(systems) - 0.4, -0.6)
    axis.set_title(title)
    axis.grid(axis="x", color=FAINT, linewidth=0.5)
    axis.set_axisbelow(True)
    axis.tick_params(length=0)
    axis.xaxis.set_major_formatter(FuncFormatter(form))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_yticks(range(len(systems)), [system["label"] for system in systems])
    for row, (system, cell) in enumerate(zip(systems, cells)):
        ours = system["name"] in ("ours", "stateful")
        colour = OURS if ours else OTHERS
        if cell["outcome"] != "measured":
            axis.text(middle, row, cell["outcome"], va="center", color=OTHERS, style="italic")
            continue
        value = cell["value"]
        if system["name"] == "bare":
            axis.axvline(value, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        mark = "*" if cell["notes"] else ""
        ratio = "" if system["name"] == "bare" else "  ×" + times(cell["ratio"])
        axis.plot(value, row, "o", color=colour, markersize=6)
        axis.annotate(
            form(value) + ratio + mark,
            (value, row),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontweight="bold" if ours else "normal",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )


GROWTH = [
    # name, title, what grows, form, series
    ("children", "one more child", "children held", nanos, ["start", "terminate", "lookup", "restart", "crash"]),
    ("one-thread", "one more child, on one thread", "children held", nanos, ["start", "terminate", "lookup", "restart", "crash"]),
    ("supervisors", "each of many supervisors", "supervisors under one", nanos, ["start", "lookup", "shutdown"]),
    ("depth", "each level of a deep tree", "levels", nanos, ["start", "shutdown"]),
    ("group", "each child of a OneForAll", "children in the group", nanos, ["start", "restart", "shutdown"]),
    ("churn", "resident memory, 1,000 children held", "starts and stops", size_of, ["before", "after"]),
]


def growth(measured, folder):
    figure, axes = plt.subplots(4, 2, figsize=(11, 13))
    axes.flat[-1].set_visible(False)
    for axis, (name, title, grows, form, series) in zip(axes.flat, GROWTH):
        points = measured[name]["points"]
        axis.set_xscale("log")
        for one in series:
            curve(axis, points, one, one)
        frame(axis, title, grows, form)
    axis = axes.flat[len(GROWTH)]
    for name, said in (("waves", "ash-flare"), ("bare-waves", "bare tokio")):
        points = measured[name]["points"]
        curve(axis, points, "high", f"{said}, 100,000 there")
        curve(axis, points, "after", f"{said}, all gone")
    frame(axis, "resident memory", "times 100,000 children came and went", size_of)
    figure.tight_layout()
    save(figure, folder / "growth.svg")


def curve(axis, points, name, label):
    sizes = [point["size"] for point in points]
    axis.plot(sizes, [point[name] for point in points], "o-", markersize=4, label=label)


def frame(axis, title, grows, form):
    axis.set_title(title)
    axis.set_xlabel(grows)
    # From zero, on a linear scale: what is flat looks flat, and what is not does not. The legend
    # has its room above.
    axis.set_ylim(0, axis.get_ylim()[1] * 1.3)
    axis.yaxis.set_major_formatter(FuncFormatter(form))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.grid(color=FAINT, linewidth=0.5)
    axis.legend(frameon=False, loc="upper center", ncols=3 if len(axis.lines) != 4 else 2, fontsize=8)


def save(figure, path):
    figure.savefig(path, metadata={"Date": None}, facecolor="white")
    print(path)


def main():
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    measured = json.loads(source.read_text())
    style()
    if "systems" in measured:
        compare(measured, folder)
    else:
        growth(measured, folder)


main()
