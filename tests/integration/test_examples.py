"""The examples for consumers, run as a reader would run them, on what a real bridge put into the map."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
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
QUICK_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # Maven lives for seconds: compiling takes half of that


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
        return process.environment(downloads=True, JDK_JAVA_OPTIONS=QUICK_JAVA, **member)

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


@pytest.mark.parametrize("example", ["newest_scan.py", "latest_scan.py"])
def test_the_python_example_prints_the_newest_scan(publishing: Publishing, example: str) -> None:
    command = (sys.executable, example)
    before = publishing.run(*command, folder=EXAMPLES / "python")
    assert (before.returncode, before.stdout) == (1, "")
    assert "no scan" in before.stderr.splitlines()[-1]

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


@pytest.mark.java
def test_the_java_example_for_json_prints_the_document(publishing: Publishing, tmp_path: Path) -> None:
    publishing.bridge.configure(hazelcast={"value": "json"})
    publishing.bridge.start()
    newest = publishing.publish("a", scan(rows=3))
    shutil.copytree(EXAMPLES / "java", tmp_path / "java")

    command = ("mvn", "-q", "-B", "-Dexample=LatestJson", "compile", "exec:exec")
    done = publishing.run(*command, folder=tmp_path / "java", timeout_s=DOWNLOAD_S)

    document = json.loads(done.stdout.replace("\x1b[0m", ""))
    assert (document["scan_bridge"]["source"], document["columns"]["eigenvalue"]) == (newest, [0.0, 1.0, 2.0])


@pytest.mark.node
@pytest.mark.parametrize(("form", "script"), [("arrow", "latest-scan.mjs"), ("json", "latest-json.mjs")])
def test_the_node_example_prints_the_newest_scan(
    publishing: Publishing, tmp_path: Path, form: str, script: str
) -> None:
    publishing.bridge.configure(hazelcast={"value": form})
    publishing.bridge.start()
    newest = publishing.publish("a", scan(rows=55))
    folder = tmp_path / "node"
    shutil.copytree(EXAMPLES / "node", folder)
    folder.joinpath("node_modules").symlink_to(node_modules())

    done = publishing.run("node", script, folder=folder)

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


def test_the_strategy_follows_and_keeps_its_hands_off_while_the_producer_is_silent_or_hazelcast_hangs(
    publishing: Publishing, own_member: Member, tmp_path: Path
) -> None:
    publishing.bridge.start()
    first = publishing.publish("first", mtime_ns=time.time_ns() - 120 * 10**9)
    output = tmp_path / "output"
    with output.open("w") as file:
        command = (sys.executable, "-u", EXAMPLES / "python" / "strategy.py")
        strategy = process.start(command, env=publishing.environment | {"MAX_AGE_S": "20"}, stdout=file)
    told: list[str] = []

    def expect(*patterns: str) -> None:
        def lines() -> list[str]:
            """Without what the log says of the connection."""
            return [line for line in output.read_text().splitlines() if not line.startswith("Hazelcast ")]

        told.extend(patterns)
        eventually(
            lambda: len(lines()) >= len(told) and all(map(re.fullmatch, told, lines())),
            lambda: f"{told} in {lines()}",
            60,
        )

    try:
        expect(f"hands off: {first} is 12\\d.\\d s old: the producer has stopped.*")
        expect(f"2 {publishing.publish('second', scan(rows=7), time.time_ns() - 15 * 10**9)} 7 0")
        expect(".*second.arrow is 20.* old: the producer has stopped.*")
        expect(f"3 {publishing.publish('third', mtime_ns=time.time_ns() - 15 * 10**9)} 20 0")
        own_member.pause()
        expect(".*third.arrow is 20.* old: Hazelcast does not answer.*")
        own_member.resume()
        expect(f"4 {publishing.publish('fourth')} 20 0")
        own_member.kill()
        expect(".*fourth.arrow is 20.* old: Hazelcast does not answer.*")
        own_member.start()
        publishing = replace(publishing, client=own_member.client())
        expect(rf"\d+ {publishing.publish('fifth')} 20 0")
        strategy.send_signal(signal.SIGINT)
        assert strategy.wait(30) == 0
    finally:
        process.kill(strategy)
