"""CPU time and memory of one process from /proc: for hosts where systemd's accounting has none."""

from __future__ import annotations

import os

from healthcheck.model.observation import Answer, CpuReading, Known, Unknown


def cpu(pid: int) -> Answer[CpuReading]:
    """CPU time of the process since it started, with its threads."""
    how = f"/proc/{pid}/stat"
    if pid <= 0:
        return Unknown("no process", how)
    try:
        with open(how) as file:
            used_s, started = parse_stat(file.read(), os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError) as error:
        return Unknown(_reason(error), how)
    # The start time tells a process from a later one of the same number.
    return Known(CpuReading(used_s, f"/proc/{pid} {started}"), how)


def memory(pid: int) -> Answer[int]:
    """Resident memory of the process, in bytes, without the pages of files.

    Those of libraries are shared with other processes, the kernel can take them back, and how many it maps differs from
    kernel to kernel: 30 to 60 MB of the very same bridge.
    """
    how = f"/proc/{pid}/statm"
    if pid <= 0:
        return Unknown("no process", how)
    try:
        with open(how) as file:
            resident, of_files = map(int, file.read().split()[1:3])
            return Known((resident - of_files) * os.sysconf("SC_PAGE_SIZE"), how)
    except (OSError, ValueError, IndexError) as error:
        return Unknown(_reason(error), how)


def parse_stat(text: str, ticks_per_s: int) -> tuple[float, int]:
    """Seconds of CPU time (user and system), and the start time in ticks, from /proc/PID/stat; see proc(5).

    Raises:
        ValueError: it is no such line.
    """
    # The name stands in parentheses and may itself contain any of them.
    fields = text.rpartition(")")[2].split()
    if len(fields) < 20:
        raise ValueError("not a line of /proc/PID/stat")
    return (int(fields[11]) + int(fields[12])) / ticks_per_s, int(fields[19])


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else f"unexpected contents: {error}"
