"""From samples to a table, a JSON file and a picture.

Rules: best and median, never a mean; a ratio is to the loop of the same run, case and way; a
durable server is compared with the durable loop too.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from bench.rounds import MIB, Sample

GB = 1e9

Key = tuple[str, str, str]  # case, way, contestant


@dataclass(frozen=True, slots=True)
class Line:
    """One contestant in one case and way."""

    case: str
    way: str
    contestant: str
    best: float  # MiB/s
    median: float  # MiB/s
    best_of_loop: float | None  # best over the loop's best
    best_of_synced: float | None  # best over the synced loop's best
    median_of_loop: float | None
    median_of_synced: float | None
    cpu_per_gb: float  # seconds
    peak: float  # MiB


def lines(samples: Sequence[Sample]) -> list[Line]:
    """A line for each contestant in each case and way, in the order of the first round."""
    groups: dict[Key, list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.case, sample.way, sample.contestant), []).append(sample)
    bests = {key: max(_speeds(group)) for key, group in groups.items()}
    medians = {key: statistics.median(_speeds(group)) for key, group in groups.items()}
    table = []
    for key, group in groups.items():
        case, way, name = key
        loop, synced = (case, way, "loop"), (case, way, "loop synced")
        size = sum(sample.size for sample in group)
        table.append(
            Line(
                case=case,
                way=way,
                contestant=name,
                best=bests[key],
                median=medians[key],
                best_of_loop=_over(bests, key, loop),
                best_of_synced=_over(bests, key, synced),
                median_of_loop=_over(medians, key, loop),
                median_of_synced=_over(medians, key, synced),
                cpu_per_gb=sum(sample.cpu for sample in group) / (size / GB),
                peak=max(sample.peak for sample in group) / MIB,
            )
        )
    order = list(dict.fromkeys((line.case, line.way) for line in table))
    return sorted(table, key=lambda line: (order.index((line.case, line.way)), -line.median))


def _over(speeds: Mapping[Key, float], key: Key, other: Key) -> float | None:
    return speeds[key] / speeds[other] if other in speeds else None


def _speeds(group: Sequence[Sample]) -> list[float]:
    return [sample.size / MIB / sample.seconds for sample in group]


def text(table: Sequence[Line], missing: Mapping[str, str]) -> str:
    """The table for a terminal."""
    columns = ("best", "of loop", "synced", "median", "of loop", "synced", "CPU s/GB", "peak")
    head = " " * 18 + "".join(f"{column:>9}" for column in columns)
    out: list[str] = []
    group = ("", "")
    for line in table:
        if group != (line.case, line.way):
            group = (line.case, line.way)
            out += ["", f"{line.way}load, {line.case} (MiB/s, MiB)", head]
        out.append(
            f"{line.contestant:18}"
            f"{line.best:9.0f}{_ratio(line.best_of_loop)}{_ratio(line.best_of_synced)}"
            f"{line.median:9.0f}{_ratio(line.median_of_loop)}{_ratio(line.median_of_synced)}"
            f"{line.cpu_per_gb:9.2f}{line.peak:9.0f}"
        )
    out += ["", *(f"NOT RUN: {name}: {why.strip()}" for name, why in missing.items())]
    return "\n".join(out)


def _ratio(value: float | None) -> str:
    return f"{'-':>9}" if value is None else f"{value:9.2f}"


def machine() -> dict[str, object]:
    """Where the numbers come from."""
    model = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def write(
    directory: Path,
    samples: Sequence[Sample],
    table: Sequence[Line],
    facts: Mapping[str, Any],
) -> list[Path]:
    """The JSON file and the picture."""
    directory.mkdir(parents=True, exist_ok=True)
    everything = {
        **facts,
        "machine": machine(),
        "table": [asdict(line) for line in table],
        "samples": [sample.as_json() for sample in samples],
    }
    json_file = directory / "bench.json"
    json_file.write_text(json.dumps(everything, indent=1))
    return [json_file, *picture(directory, table)]


def picture(directory: Path, table: Sequence[Line]) -> list[Path]:
    """Medians as bars, the best as a mark; one panel for each case and way."""
    panels = list(dict.fromkeys((line.case, line.way) for line in table))
    rows = (len(panels) + 1) // 2
    figure = Figure(figsize=(12, 1.2 + 1.9 * rows), layout="tight")
    axes = figure.subplots(rows, 2, squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, (case, way) in zip(axes.flat, panels, strict=False):
        group = [line for line in table if (line.case, line.way) == (case, way)][::-1]
        names = [line.contestant for line in group]
        colours = ["#0b6e4f" if "towpath" in name else "#9aa5b1" for name in names]
        axis.barh(names, [line.median for line in group], color=colours)
        axis.plot([line.best for line in group], names, "k|", markersize=9)
        axis.set_title(f"{way}load, {case}", fontsize=9)
        axis.tick_params(labelsize=8)
        axis.set_xlim(left=0)
    figure.suptitle("MiB/s: bar = median, mark = best", fontsize=10)
    paths = [directory / "bench.png", directory / "bench.svg"]
    for path in paths:
        figure.savefig(path)
    return paths
