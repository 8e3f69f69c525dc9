"""Draws a dashboard from query results: the panels of its JSON, in its layout, with their titles, units, legends,
colours and thresholds. It looks like Grafana as far as that takes no effort, and claims nothing more."""

import math
import re

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.ticker import FuncFormatter, MultipleLocator

COLUMNS, COLUMN, ROW, GAP = 24, 0.6, 0.3, 0.05
PAGE, PANEL, EDGE, TEXT, FAINT = "#111217", "#181b1f", "#2c3235", "#d0d1dd", "#8e8f9a"
COLORS = {
    "green": "#73bf69", "light-green": "#b9dfb0", "red": "#f2495c", "dark-red": "#c4162a", "light-red": "#ff9aa8",
    "orange": "#ff9830", "yellow": "#fade2a", "blue": "#5794f2", "light-blue": "#a7c8ff", "purple": "#b877d9",
}
PALETTE = ["#7eb26d", "#eab839", "#6ed0e0", "#ef843c", "#e24d42", "#5195ce", "#ba43a9", "#8f7ccf", "#508642"]
# Up to which size of a duration, times what, with which unit.
DURATIONS = [(1e-3, 1e6, "µs"), (1, 1e3, "ms"), (120, 1, "s"), (7200, 1 / 60, "min"), (2e5, 1 / 3600, "h")]


def number(value):
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def duration(seconds):
    for limit, factor, unit in DURATIONS if seconds else []:
        if abs(seconds) < limit:
            return f"{number(seconds * factor)} {unit}"
    if not seconds:
        return "0 s"
    return f"{number(seconds / 86400)} d"


def size(value):
    for unit in ("B", "KiB", "MiB"):
        if abs(value) < 1024:
            return f"{number(value)} {unit}"
        value /= 1024
    return f"{number(value)} GiB"


def text(value, unit, decimals=None):
    if value is None or math.isnan(value):
        return "–"
    if unit == "percentunit":
        shown = 100 * value
        return f"{shown:.{decimals}f} %" if decimals is not None else f"{number(shown)} %"
    if unit in ("s", "bytes"):
        return duration(value) if unit == "s" else size(value)
    suffix = {"reqps": " req/s", "cps": " /s", "cpm": " /min"}.get(unit, "")
    return (f"{value:.{decimals}f}" if decimals is not None else number(value)) + suffix


def threshold_color(value, thresholds):
    color = thresholds["steps"][0]["color"]
    for step in thresholds["steps"][1:]:
        if value is not None and value >= step["value"]:
            color = step["color"]
    return COLORS.get(color, color)


def color_of(panel, name, position):
    for override in panel["fieldConfig"]["overrides"]:
        matcher = override["matcher"]
        fits = re.fullmatch(matcher["options"], name) if matcher["id"] == "byRegexp" else matcher["options"] == name
        for setting in override["properties"] if fits else []:
            if setting["id"] == "color":
                return COLORS[setting["value"]["fixedColor"]]
    return PALETTE[position % len(PALETTE)]


def is_on_the_right(panel, name):
    return any(
        re.fullmatch(override["matcher"]["options"], name)
        for override in panel["fieldConfig"]["overrides"]
        if {"id": "custom.axisPlacement", "value": "right"} in override["properties"]
    )


def round_ticks(unit, high):
    """Ticks at round numbers of the unit that is shown: whole KiB, whole minutes."""
    factor = 1
    if unit == "bytes" and high >= 1024:
        factor = 1024 ** int(math.log(high, 1024))
    if unit == "s" and high >= 120:
        factor = 60 if high < 7200 else 3600
    rough = max(high, 1e-9) / factor / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(nice * power for nice in (1, 2, 5, 10) if nice * power >= rough)
    return MultipleLocator(step * factor)


def mark_minutes(axes, span):
    """Minutes since the run began, on the axis of time."""
    axes.set_xlim(*span)
    axes.tick_params(axis="x", pad=5)
    axes.set_xticks([span[0] + 60 * n for n in range(int((span[1] - span[0]) // 60) + 1)])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{round((value - span[0]) / 60)} min"))


class Page:
    """One figure; panels are placed by their gridPos."""

    def __init__(self, dashboard, caption):
        # The rows under the title, and a line for the caption.
        self.rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"]) + 2
        self.width, self.height = COLUMNS * COLUMN, self.rows * ROW
        self.figure = plt.figure(figsize=(self.width, self.height), facecolor=PAGE)
        self.write(0.1, 0.75 * ROW, dashboard["title"], 13, TEXT, weight="bold")
        self.write(3.6, 0.75 * ROW, dashboard["description"], 9.5, FAINT)
        self.write(0.1, self.height - 0.5 * ROW, caption, 8.5, FAINT)

    def write(self, x, y, what, points, color, **more):
        """Text at inches from the upper left corner."""
        self.figure.text(x / self.width, 1 - y / self.height, what, fontsize=points, color=color, va="center", **more)

    def axes(self, x, y, width, height):
        """Axes by inches from the upper left corner."""
        box = [x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height]
        axes = self.figure.add_axes(box, facecolor="none")
        axes.tick_params(colors=FAINT, labelsize=6.5, length=0, pad=2)
        for spine in axes.spines.values():
            spine.set_visible(False)
        return axes

    def frame(self, panel, color=PANEL):
        """The panel's box and title. Returns the room inside: x, y, width, height."""
        place = panel["gridPos"]
        x, y = place["x"] * COLUMN + GAP / 2, (place["y"] + 1.25) * ROW + GAP / 2
        width, height = place["w"] * COLUMN - GAP, place["h"] * ROW - GAP
        box = FancyBboxPatch(
            (x / self.width, 1 - (y + height) / self.height), width / self.width, height / self.height,
            boxstyle="square,pad=0", facecolor=color, edgecolor=EDGE, linewidth=0.6, zorder=-1,
            transform=self.figure.transFigure,
        )
        self.figure.add_artist(box)
        self.write(x + 0.1, y + 0.15, panel["title"], 7.6, TEXT, weight="bold")
        return x, y + 0.3, width, height - 0.3

    def row(self, panel):
        self.write(0.1, (panel["gridPos"]["y"] + 1.8) * ROW, "▾ " + panel["title"], 9.5, TEXT, weight="bold")

    def stat(self, panel, series):
        defaults = panel["fieldConfig"]["defaults"]
        value = series[0][2][-1] if series else None
        mapped = [m["options"].get(number(value)) for m in defaults.get("mappings", []) if value is not None]
        mapped = next((one for one in mapped if one), None)
        color = COLORS[mapped["color"]] if mapped else threshold_color(value, defaults["thresholds"])
        x, y, width, height = self.frame(panel, color if series else PANEL)
        shown = mapped["text"] if mapped else text(value, defaults["unit"], defaults.get("decimals"))
        self.figure.texts[-1].set_color("#101014" if series else TEXT)
        ink = "#101014" if series else FAINT
        self.write(x + width / 2, y + height / 2 - 0.03, shown, 17, ink, ha="center", weight="bold")

    def timeseries(self, panel, series, span):
        defaults = panel["fieldConfig"]["defaults"]
        custom, unit = defaults["custom"], defaults["unit"]
        x, y, width, height = self.frame(panel)
        lines = math.ceil(min(len(series), 8) / max(1, int(width / 1.15)))
        right = 0.4 if any(is_on_the_right(panel, name) for name, _, _ in series) else 0
        axes = self.axes(x + 0.62, y + 0.05, width - 0.72 - right, height - 0.32 - 0.15 * lines)
        axes.grid(axis="y", color=EDGE, linewidth=0.5)
        stacked = custom["stacking"]["mode"]
        piles = stacked != "none" or custom["drawStyle"] == "bars"
        handles = self.stack(axes, panel, series, stacked) if piles else self.lines(axes, panel, series)
        if custom.get("scaleDistribution", {}).get("type") == "log":
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=defaults.get("min"), top=1 if stacked == "percent" else defaults.get("max"))
            axes.yaxis.set_major_locator(round_ticks(unit, axes.get_ylim()[1]))
        low, high = axes.get_ylim()
        for step in defaults["thresholds"]["steps"][1:] if custom["thresholdsStyle"]["mode"] == "dashed" else []:
            if low <= step["value"] <= high:
                color = step["color"] if step["color"] != "transparent" else "red"
                axes.axhline(step["value"], color=COLORS[color], linewidth=0.9, linestyle=(0, (4, 3)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: text(value, unit)))
        mark_minutes(axes, span)
        self.legend(axes, handles, width)

    def lines(self, axes, panel, series):
        handles, right = [], None
        for position, (name, times, values) in enumerate(series):
            target = axes
            if is_on_the_right(panel, name):
                right = right or axes.twinx()
                right.tick_params(colors=FAINT, labelsize=6.5, length=0, pad=2)
                target = right
            color = color_of(panel, name, position)
            target.plot(times, values, color=color, linewidth=1.1)
            if panel["fieldConfig"]["defaults"]["custom"].get("scaleDistribution") is None and target is axes:
                target.fill_between(times, values, color=color, alpha=0.08, linewidth=0)
            handles.append((name, color))
        if right:
            right.set_ylim(bottom=0)
            for spine in right.spines.values():
                spine.set_visible(False)
        return handles

    def stack(self, axes, panel, series, mode):
        """Areas on top of each other; series that are zero throughout take no place in the legend."""
        times = sorted({time for _, ts, _ in series for time in ts})
        tables = [dict(zip(ts, values)) for _, ts, values in series]
        rows = [[0 if math.isnan(table.get(time, 0)) else table.get(time, 0) for time in times] for table in tables]
        if mode == "percent":
            sums = [sum(column) or 1 for column in zip(*rows)]
            rows = [[value / total for value, total in zip(row, sums)] for row in rows]
        handles, base = [], [0] * len(times)
        for position, ((name, _, _), row) in enumerate(zip(series, rows)):
            if not any(row) and any(map(any, rows)):
                continue
            color = color_of(panel, name, position)
            top = [low + value for low, value in zip(base, row)]
            axes.fill_between(times, base, top, color=color, alpha=0.75, linewidth=0.5)
            handles.append((name, color))
            base = top
        return handles

    def legend(self, axes, handles, width):
        shown = [plt.Line2D([], [], color=color, linewidth=2.5, label=name) for name, color in handles[:8]]
        if shown:
            axes.legend(
                handles=shown, loc="upper left", bbox_to_anchor=(-0.02, -0.14), ncol=max(1, int(width / 1.15)),
                fontsize=6.3, frameon=False, labelcolor=FAINT, handlelength=1, columnspacing=1, handletextpad=0.4,
                borderaxespad=0, labelspacing=0.3,
            )

    def bargauge(self, panel, series):
        x, y, width, height = self.frame(panel)
        axes = self.axes(x + 1.55, y + 0.05, width - 2.05, height - 0.15)
        names, values = [name for name, _, _ in series][::-1], [values[-1] for _, _, values in series][::-1]
        axes.barh(names, [max(values, default=1)] * len(values), color=EDGE, height=0.62)
        axes.barh(names, values, color=COLORS["blue"], height=0.62)
        axes.set_xticks([])
        for place, value in enumerate(values):
            axes.text(max(values) * 1.03, place, f"{value:.0f}", color=TEXT, fontsize=7, va="center")

    def timeline(self, panel, series, span):
        options = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
        x, y, width, height = self.frame(panel)
        axes = self.axes(x + 0.45, y + 0.05, width - 0.55, height - 0.5)
        axes.set_ylim(-0.5, len(series) - 0.5)
        for place, (_, times, values) in enumerate(series):
            for start, end, value in zip(times, [*times[1:], span[1]], values):
                color = COLORS[options[number(value)]["color"]]
                axes.add_patch(Rectangle((start, place - 0.35), end - start, 0.7, color=color, linewidth=0))
        axes.set_yticks(range(len(series)), [name for name, _, _ in series])
        mark_minutes(axes, span)
        self.legend(axes, [(option["text"], COLORS[option["color"]]) for option in options.values()], width)

    def table(self, panel, series):
        x, y, width, height = self.frame(panel)
        for line, (name, _, values) in enumerate(series[: int((height - 0.1) / 0.2)]):
            self.write(x + 0.1, y + 0.12 + 0.2 * line, name, 7, TEXT)
            if panel["title"] != "Alerts":
                self.write(x + width - 0.1, y + 0.12 + 0.2 * line, duration(values[-1]), 7, FAINT, ha="right")
