"""The ratios as a picture: how far each measure is from ipykernel, and where its goal is."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import Row


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write an SVG; rows without a ratio are not in it."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "remote-session-kernel"  # the same numbers give the same file
    shown = [row for row in rows if row.value is not None and not row.value_unit][::-1]
    figure = Figure(figsize=(8, 0.8 + 0.32 * len(shown)), layout="constrained")
    axes = figure.subplots()
    values = [row.value or 0.0 for row in shown]
    colours = ["tab:green" if row.is_met else "tab:red" for row in shown]
    axes.barh([row.title.replace("`", "") for row in shown], values, color=colours, height=0.6)
    axes.scatter([row.limit for row in shown], range(len(shown)), marker="|", s=160, color="black", zorder=3)
    axes.axvline(1.0, color="grey", linewidth=0.8)
    figure.supxlabel("ratio to ipykernel; the black mark is the goal (≥ for rates, ≤ for times)", fontsize="medium")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
