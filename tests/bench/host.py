"""The machine that the figures come from."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("scan-bridge", "pyarrow", "hazelcast-python-client", "watchdog", "pydantic")


def facts(folder: Path) -> dict[str, str]:
    """What a reader needs to judge the figures; `folder` is where the scans lie."""
    cpus = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory_kb = int(next(line for line in _lines("/proc/meminfo") if line.startswith("MemTotal")).split()[1])
    return {
        "cpu": f"{os.cpu_count()} × {cpus[0] if cpus else platform.machine()}",
        "virtual": _output("systemd-detect-virt") or "unknown",
        "memory": f"{memory_kb / 1e6:.0f} GB",
        "kernel": platform.release(),
        "file system": _file_system(folder),
        "python": platform.python_version(),
        "java": (_output("java", "-version").splitlines() or ["unknown"])[0],
        **{name: version(name) for name in PACKAGES},
        "load before": _lines("/proc/loadavg")[0],
    }


def _file_system(folder: Path) -> str:
    return _output("df", "--output=fstype", str(folder)).split()[-1]


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except FileNotFoundError:
        return ""
    return (done.stdout or done.stderr).strip()


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
