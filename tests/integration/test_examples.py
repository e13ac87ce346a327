"""The examples for consumers, run as a reader would run them, on what a real bridge put into the map."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hazelcast
import pyarrow as pa
import pytest
from support import process
from support.bridge_process import BridgeProcess, Target, day, eventually, land, scan
from support.download_cache import cached
from support.hazelcast_member import Member

pytestmark = pytest.mark.hazelcast

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
MAP = "scan_bridge"  # the examples read the default map
DOWNLOAD_S = 300.0


@dataclass(frozen=True)
class Publishing:
    """A bridge that publishes into the default map of a member of its own."""

    bridge: BridgeProcess
    client: hazelcast.HazelcastClient

    def publish(self, name: str, content: bytes | None = None, mtime_ns: int | None = None) -> str:
        """Land a scan, and wait until it is in the map; its path."""
        path = land(self.bridge.root, f"{day()}/{name}.arrow", content, mtime_ns)
        self.bridge.wait_status(
            self.client, lambda status: (status["published"] or {}).get("path") == path, f"{path} is published"
        )
        return path

    @property
    def environment(self) -> dict[str, str]:
        """What tells an example where to look."""
        target = self.bridge.target
        member = {"HAZELCAST_MEMBER": target.address, "HAZELCAST_CLUSTER": target.cluster_name}
        return process.environment(downloads=True, **member)

    def run(self, *command: str, folder: Path, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run an example to its end."""
        return process.run(command, cwd=folder, env=self.environment, timeout_s=timeout_s)


@pytest.fixture
def publishing(own_member: Member, tmp_path: Path) -> Iterator[Publishing]:
    target = Target(own_member.address, own_member.cluster_name, MAP)
    bridge = BridgeProcess(tmp_path / "bridge", target)
    yield Publishing(bridge, own_member.client())
    bridge.close()


def compressed(rows: int) -> bytes:
    """A scan with compressed buffers."""
    table = pa.table({"eigenvalue": [float(i) for i in range(rows)]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def test_the_python_example_prints_the_newest_scan(publishing: Publishing) -> None:
    command = (sys.executable, "latest_scan.py")
    before = publishing.run(*command, folder=EXAMPLES / "python")
    assert (before.returncode, before.stdout) == (1, "")
    assert before.stderr.endswith("no scan yet\n")

    publishing.bridge.start()
    publishing.publish("a")
    newest = publishing.publish("b", scan(rows=33))

    assert publishing.run(*command, folder=EXAMPLES / "python").stdout == f"{newest} 33\n"


@pytest.mark.java
def test_the_java_example_prints_the_newest_scan_compressed_or_not(publishing: Publishing, tmp_path: Path) -> None:
    publishing.bridge.start()
    newest = publishing.publish("compressed", compressed(rows=44))
    shutil.copytree(EXAMPLES / "java", tmp_path / "java")

    done = publishing.run(*("mvn", "-q", "-B", "compile", "exec:exec"), folder=tmp_path / "java", timeout_s=DOWNLOAD_S)

    printed = done.stdout.replace("\x1b[0m", "")  # Maven resets the terminal's colours, terminal or not
    assert printed.splitlines() == [f"{newest} 44"], done.stdout + done.stderr
    assert done.returncode == 0


@pytest.mark.node
def test_the_node_example_prints_the_newest_scan(publishing: Publishing, tmp_path: Path) -> None:
    publishing.bridge.start()
    newest = publishing.publish("a", scan(rows=55))
    folder = tmp_path / "node"
    shutil.copytree(EXAMPLES / "node", folder)
    folder.joinpath("node_modules").symlink_to(node_modules())

    done = publishing.run("node", "latest-scan.mjs", folder=folder)

    assert (done.returncode, done.stdout) == (0, f"{newest} 55\n"), done.stderr


def node_modules() -> Path:
    """What `npm ci` installs for the example."""
    files = [EXAMPLES / "node" / name for name in ("package.json", "package-lock.json")]

    def install(folder: Path) -> None:
        for file in files:
            shutil.copy(file, folder)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        environment = process.environment(downloads=True)
        process.run(command, cwd=folder, env=environment, check=True, timeout_s=DOWNLOAD_S)

    version = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    return cached(f"node-example-{version}", install) / "node_modules"


def test_the_listening_example_tells_of_new_scans_and_of_staleness_even_while_hazelcast_hangs(
    publishing: Publishing, own_member: Member, tmp_path: Path
) -> None:
    publishing.bridge.start()
    now_ns = time.time_ns()
    first = publishing.publish("first", mtime_ns=now_ns - 120 * 10**9)
    output = tmp_path / "output"
    with output.open("w") as file:
        command = (sys.executable, "-u", EXAMPLES / "python" / "on_new_scan.py")
        listening = process.start(command, env=publishing.environment, stdout=file)

    def expect(*starts: str) -> None:
        def lines() -> list[str]:
            return output.read_text().splitlines()

        eventually(
            lambda: len(lines()) >= len(starts) and all(map(str.startswith, lines(), starts)),
            lambda: f"{starts} in {lines()}",
        )

    try:
        told = [f"1 {first} 20", "stale: the newest scan is 12"]
        expect(*told)
        told.append(f"2 {publishing.publish('second', scan(rows=7), time.time_ns() - 25 * 10**9)} 7")
        expect(*told)
        own_member.pause()
        told.append("stale: the newest scan is 30.")
        expect(*told)
        own_member.resume()
        told.append(f"3 {publishing.publish('third')} 20")
        expect(*told)
    finally:
        process.kill(listening)
