"""`scan-bridge history`: what the map holds, what it lacks, and its scans as files again; `check-config`: its cost."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hazelcast.core import HazelcastJsonValue
from support import process
from support.bridge_process import COMMAND, BridgeProcess, day, eventually, land, scan, scan_bridge
from support.history_map import HistoryMap, read, valid_files

from bridge.arrow.metadata import read_metadata

pytestmark = pytest.mark.hazelcast

SECOND_NS = 1_000_000_000
Filled = tuple[BridgeProcess, list[str]]


@pytest.fixture
def filled(keeping: Callable[..., BridgeProcess], kept: HistoryMap) -> Filled:
    """A bridge whose history holds three scans, 20 min apart; their paths, oldest first."""
    bridge = keeping().start()
    paths = [f"{day()}/{name}.arrow" for name in "abc"]
    for number, path in enumerate(paths):
        land(bridge.root, path, mtime_ns=time.time_ns() - (50 - 20 * number) * 60 * SECOND_NS)
    kept.wait_complete(bridge.root)
    return bridge, paths


def history(bridge: BridgeProcess, *arguments: str | Path) -> tuple[int, list[str], str]:
    done = scan_bridge("history", *arguments, "--config", bridge.config_path)
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_it_lists_the_scans_oldest_first_of_all_time_or_since(filled: Filled) -> None:
    bridge, paths = filled
    code, lines, _ = history(bridge)
    assert (code, [line.split()[1] for line in lines]) == (0, paths)
    _, lines, _ = history(bridge, "--since", "40m", "--json")
    assert [json.loads(line)["path"] for line in lines] == paths[1:]
    assert json.loads(lines[0])["mtime_ns"] == (bridge.root / paths[1]).stat().st_mtime_ns


def test_gaps_are_valid_files_on_disk_that_are_not_there(filled: Filled, kept: HistoryMap) -> None:
    bridge, paths = filled
    land(bridge.root, f"{day()}/had-its-time.arrow", mtime_ns=time.time_ns() - 4000 * SECOND_NS)
    assert history(bridge, "--gaps", "--since", "2h") == (0, [], "")
    bridge.terminate()
    kept.map.delete(kept.all_keys()[1])
    land(bridge.root, f"{day()}/bad.arrow", b"no scan", time.time_ns() - 600 * SECOND_NS)

    # Only what landed a moment ago may be on its way.
    code, lines, complaint = eventually(lambda: (told := history(bridge, "--gaps", "--json"))[1][1:] and told, "gaps")
    found = {json.loads(line)["path"]: json.loads(line)["reason"] for line in lines}
    assert (code, found.pop(paths[1])) == (1, "missing")
    assert [reason.split(":")[0] for reason in found.values()] == ["bad"]
    assert "1 valid scans lie on disk and not in the map" in complaint


def test_a_file_that_cannot_be_read_here_may_be_a_gap(filled: Filled, kept: HistoryMap) -> None:
    bridge, paths = filled
    bridge.terminate()
    kept.map.delete(kept.all_keys()[1])
    (bridge.root / paths[1]).chmod(0)

    def told() -> subprocess.CompletedProcess[str] | None:
        done = process.run([*process.as_anybody(), *COMMAND, "history", "--gaps", "--config", bridge.config_path])
        return done if done.stdout else None  # until then the file, whose mode has changed, may be on its way

    done = eventually(told, "told")
    assert done.returncode == 1
    assert "cannot be read: Permission denied" in done.stdout
    assert "1 files that are not in the map cannot be read here" in done.stderr


def test_an_export_has_each_scan_under_its_name_and_time_and_overwrites_nothing(filled: Filled, tmp_path: Path) -> None:
    bridge, paths = filled
    target = tmp_path / "exported"
    (target / day()).mkdir(parents=True)
    (target / paths[0]).write_bytes(b"mine")

    code, lines, _ = history(bridge, "--export", target)

    assert (code, lines) == (0, [f"2 scans written to {target}, 1 were there already"])
    assert (target / paths[0]).read_bytes() == b"mine"
    for path in paths[1:]:
        assert (target / path).stat().st_mtime_ns == (bridge.root / path).stat().st_mtime_ns
        assert read((target / path).read_bytes()).to_pydict() == read((bridge.root / path).read_bytes()).to_pydict()
        assert read_metadata((target / path).read_bytes())["scan_bridge.source"] == path


def test_an_export_without_what_stands_there_as_json_fails(filled: Filled, kept: HistoryMap, tmp_path: Path) -> None:
    bridge, paths = filled
    kept.map.put(kept.all_keys()[1], HazelcastJsonValue("{}"))
    code, lines, complaint = history(bridge, "--export", tmp_path)
    assert (code, lines) == (1, [f"2 scans written to {tmp_path}"])
    assert complaint.startswith(f"scan-bridge: {paths[1]}: stands in the map as JSON")


def test_a_key_that_no_bridge_wrote_never_leaves_the_folder(filled: Filled, kept: HistoryMap, tmp_path: Path) -> None:
    bridge, _ = filled
    evil = ["../../evil.arrow", f"{day()}/../../evil.arrow", "/tmp/evil.arrow", f"{day()}/.."]
    for path in evil:
        kept.map.put(f"{time.time_ns():020d} {path}", bytearray(scan()))
    code, lines, complaint = history(bridge, "--export", tmp_path / "a" / "b")
    assert (code, lines) == (0, [f"3 scans written to {tmp_path / 'a' / 'b'}"])
    assert complaint.count("no bridge wrote this key") == len(evil)
    assert not list(tmp_path.glob("**/evil.arrow"))
    for key in kept.all_keys():
        if key.split(" ", 1)[1] in evil:
            kept.map.delete(key)


def test_without_a_history_it_says_so(keeping: Callable[..., BridgeProcess]) -> None:
    code, _, complaint = history(keeping(keep_s=0.0))
    assert (code, complaint) == (1, "scan-bridge: no history is kept: history.keep_s is 0\n")


def test_check_config_says_what_it_costs_the_cluster(filled: Filled) -> None:
    bridge, _ = filled
    done = scan_bridge("check-config", "--config", bridge.config_path)
    assert done.returncode == 0
    assert json.loads(done.stdout)["history"]["keep_s"] == 3600
    assert "the history needs about" in done.stderr
    assert "× 3600 s × 2 (with 1 backup)" in done.stderr
    assert valid_files(bridge.root)
