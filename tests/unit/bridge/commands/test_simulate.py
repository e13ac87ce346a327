"""The simulated producer: what it makes is true, the same for the same seed, and written as asked."""

from __future__ import annotations

import argparse
import itertools
import random
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from support import process

from bridge.commands import simulate
from bridge.commands.synthetic import SyntheticScan, eigen, factor_correlation, scans, ticks

START = datetime(2026, 3, 24, 23, 59, 50, tzinfo=UTC)
RUN = """
import argparse, sys
from bridge.commands import simulate
parser = argparse.ArgumentParser()
simulate.add_arguments(parser)
sys.exit(simulate.run(parser.parse_args()))
"""


def some_scans(count: int = 3, seed: int = 1, assets: int = 12, windows: int = 1) -> list[SyntheticScan]:
    return list(scans(seed, itertools.islice(ticks(START), count), assets, windows))


def read(data: bytes) -> pa.Table:
    """As strict as a reader can be; raises on anything that is not a whole scan."""
    if data.startswith(b"ARROW1"):
        table = pa.ipc.open_file(data).read_all()
    else:
        table = pa.ipc.open_stream(data).read_all()
        if data[-8:] != b"\xff\xff\xff\xff\x00\x00\x00\x00":
            raise pa.ArrowInvalid("no end-of-stream marker")
    table.validate(full=True)
    return table


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return process.run([sys.executable, "-c", RUN, *arguments, "--assets", "8"])


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def product(a: list[list[float]], x: list[float]) -> list[float]:
    return [sum(p * q for p, q in zip(row, x, strict=True)) for row in a]


@pytest.mark.parametrize("window", [0, 1])
def test_each_scan_holds_the_eigen_decomposition_of_its_own_correlation_matrix(window: int) -> None:
    for scan in some_scans(windows=2):
        columns = scan.batches[window].to_pydict()
        correlation, n = columns["correlation"], len(columns["asset"])
        assert [correlation[i][i] for i in range(n)] == pytest.approx([1] * n)
        assert all(correlation[i][j] == correlation[j][i] for i in range(n) for j in range(n))
        assert sum(columns["eigenvalue"]) == pytest.approx(n)
        assert columns["eigenvalue"] == sorted(columns["eigenvalue"], reverse=True)
        for value, vector in zip(columns["eigenvalue"], columns["eigenvector"], strict=True):
            assert product(correlation, vector) == pytest.approx([value * x for x in vector], abs=1e-9)
            assert sum(x * x for x in vector) == pytest.approx(1)


def test_features_are_what_their_descriptions_say() -> None:
    columns = some_scans()[2].batches[0].to_pydict()
    for i, row in enumerate(columns["correlation"]):
        assert columns["mean_correlation"][i] == pytest.approx(sum(row[:i] + row[i + 1 :]) / (len(row) - 1))
        weights = columns["eigenvector"][i]
        assert columns["participation_ratio"][i] == pytest.approx(1 / sum(x**4 for x in weights))


def test_eigenvectors_are_orthogonal() -> None:
    _, vectors = eigen(factor_correlation(random.Random(5), 20))
    for i, vector in enumerate(vectors):
        assert product(vectors, vector) == pytest.approx([float(i == j) for j in range(20)], abs=1e-9)


@pytest.mark.exhaustive
def test_the_default_scan_is_near_100_kb() -> None:
    scan = next(scans(1, ticks(START)))
    assert 90_000 < len(scan.encode("file")) < 120_000
    assert 90_000 < len(scan.encode("stream")) < 120_000


def test_windows_multiply_the_size_and_become_batches() -> None:
    one, ten = some_scans(1)[0], some_scans(1, windows=10)[0]
    assert len(ten.batches) == 10
    assert len(ten.encode()) - len(one.encode()) > 9 * 16 * 12**2


def test_same_seed_same_bytes_other_seed_other_bytes() -> None:
    first, again, other = some_scans(), some_scans(), some_scans(seed=2)
    assert [scan.encode() for scan in first] == [scan.encode() for scan in again]
    assert [scan.path for scan in first] == [scan.path for scan in other]
    assert all(a.encode() != b.encode() for a, b in zip(first, other, strict=True))


def test_ticks_of_a_burst_are_a_microsecond_apart_and_paths_differ() -> None:
    times = list(itertools.islice(ticks(START, rate=2, burst=3), 7))
    assert [(moment - START).total_seconds() for moment in times] == [
        0,
        1e-6,
        2e-6,
        0.5,
        0.500001,
        0.500002,
        1,
    ]
    assert len({SyntheticScan(moment, ()).path for moment in times}) == 7


def test_more_scans_than_names_are_refused() -> None:
    with pytest.raises(ValueError, match="more than a million"):
        next(ticks(START, rate=1000, burst=1001))


@pytest.mark.parametrize("kind", simulate.BAD_KINDS)
@pytest.mark.parametrize("format_", ["file", "stream"])
def test_a_spoiled_scan_cannot_be_read(kind: str, format_: str) -> None:
    data = some_scans(1)[0].encode(format_)  # type: ignore[arg-type]
    read(data)
    for seed in range(50):
        with pytest.raises((pa.ArrowInvalid, OSError)):
            read(simulate.spoil(data, kind, random.Random(seed)))


@pytest.mark.exhaustive
@pytest.mark.parametrize("options", [(), ("--in-place",), ("--format", "stream")], ids=str)
def test_run_writes_whole_scans_across_midnight_and_leaves_no_temporary_file(
    tmp_path: Path, options: tuple[str]
) -> None:
    done = run(tmp_path / "root", "--start", "2026-03-24T23:59:59", "--rate", "2", "--count", "4", *options)
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "root") == [
        "2026-03-24/scan_235959_000000.arrow",
        "2026-03-24/scan_235959_500000.arrow",
        "2026-03-25/scan_000000_000000.arrow",
        "2026-03-25/scan_000000_500000.arrow",
    ]
    for file in files(tmp_path / "root"):
        assert read((tmp_path / "root" / file).read_bytes()).num_rows == 8


@pytest.mark.exhaustive
def test_the_same_run_twice_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        run(
            tmp_path / name,
            "--start",
            "2026-03-24",
            "--burst",
            "20",
            "--count",
            "20",
            "--bad",
            "0.5",
            "--seed",
            "7",
        )
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert len(files(tmp_path / "a")) == 20
    for file in files(tmp_path / "a"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.exhaustive
def test_the_share_of_bad_files_is_about_what_was_asked(tmp_path: Path) -> None:
    run(tmp_path, "--burst", "200", "--count", "200", "--bad", "0.3")
    bad = 0
    for file in files(tmp_path):
        try:
            read((tmp_path / file).read_bytes())
        except (pa.ArrowInvalid, OSError):
            bad += 1
    assert 40 <= bad <= 80


def test_duration_ends_the_run(tmp_path: Path) -> None:
    done = run(tmp_path, "--rate", "10", "--duration", "0.5")
    assert len(files(tmp_path)) == 5
    assert "wrote 5 scans, 0 of them bad" in done.stdout


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_good_order(tmp_path: Path, by: signal.Signals) -> None:
    command = (sys.executable, "-c", RUN, tmp_path, "--assets", "8")
    simulating = process.start(command, stdout=subprocess.PIPE, text=True)
    try:
        assert simulating.stdout is not None
        assert "writing scans" in simulating.stdout.readline()
        simulating.send_signal(by)
        output, _ = simulating.communicate(timeout=60)
    finally:
        process.kill(simulating)
    assert simulating.returncode == 0
    assert output.startswith("wrote ")


def test_a_root_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run(tmp_path / "file", "--count", "1")
    assert done.returncode == 1
    assert done.stderr.startswith("simulate: cannot write ")
    assert done.stderr.endswith(": Not a directory\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.root
def test_a_full_disk_is_one_line_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    process.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], check=True)
    try:
        done = run(tmp_path, "--burst", "100", "--count", "100")
        assert done.returncode == 1
        assert "No space left on device" in done.stderr
        assert done.stderr.count("\n") == 1
        assert all(file.endswith(".arrow") and "/." not in file for file in files(tmp_path))
    finally:
        process.run(["umount", tmp_path], check=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--rate", "0"),
        ("--rate", "nan"),
        ("--burst", "0"),
        ("--bad", "2"),
        ("--assets", "1"),
        ("--start", "soon"),
    ],
    ids=" ".join,
)
def test_impossible_arguments_are_refused(arguments: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    simulate.add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["/nowhere", *arguments])
    assert arguments[0] in capsys.readouterr().err
