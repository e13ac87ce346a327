"""The documents say what the code does: the parts of them that a machine can compare."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from support import process

from healthcheck.config.rules import Rules

RULES = Rules()
REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
EXAMPLES = DOCS / "examples"
SHOWN = {
    "python example": "python/newest_scan.py",
    "java example": "java/src/main/java/LatestScan.java",
    "javascript example": "node/latest-scan.mjs",
    "python strategy": "python/strategy.py",
    "python bare": "python/latest_scan.py",
}
PAGES = [REPOSITORY / "README.md", *sorted(DOCS.rglob("*.md"))]


def test_the_configuration_reference_is_up_to_date(tmp_path: Path) -> None:
    script = REPOSITORY / "scripts" / "config_reference.py"
    process.run([sys.executable, script, tmp_path / "configuration.md"], check=True)

    up_to_date = (tmp_path / "configuration.md").read_text() == (DOCS / "configuration.md").read_text()

    assert up_to_date, "docs/configuration.md is out of date; run: make docs"


def test_the_configuration_reference_explains_every_key() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", (DOCS / "configuration.md").read_text(), flags=re.MULTILINE)

    assert len(rows) > 50
    assert [key for key, words in rows if not words.strip()] == []


@pytest.mark.parametrize("page", [REPOSITORY / "README.md", DOCS / "data-format.md"], ids=lambda page: page.name)
def test_the_examples_on_a_page_are_the_tested_ones_and_what_a_strategy_imports_comes_first(page: Path) -> None:
    shown = re.findall(r"^<!-- (\w+ \w+) -->\n```\w+\n(.*?)^```\n", page.read_text(), flags=re.S | re.M)

    assert [name for name, _ in shown if name.endswith("example")] == list(SHOWN)[:3]
    assert dict(shown) == {name: (EXAMPLES / SHOWN[name]).read_text() for name, _ in shown}


def test_the_examples_pin_their_libraries() -> None:
    pom = (EXAMPLES / "java" / "pom.xml").read_text()
    package = json.loads((EXAMPLES / "node" / "package.json").read_text())
    locked = json.loads((EXAMPLES / "node" / "package-lock.json").read_text())

    parts = re.findall(r"<(?:dependency|plugin)>.*?</(?:dependency|plugin)>", pom, flags=re.DOTALL)
    assert len(parts) > 3
    assert all(re.search(r"<version>(\d[\d.]+|\$\{arrow\.version\})</version>", part) for part in parts)
    assert package["dependencies"] == locked["packages"][""]["dependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in package["dependencies"].values())


def test_the_lock_file_leaves_the_choice_of_the_registry_to_the_reader() -> None:
    locked = json.loads((EXAMPLES / "node" / "package-lock.json").read_text())

    assert all("resolved" not in package for package in locked["packages"].values())
    assert all("integrity" in package for name, package in locked["packages"].items() if name)


@pytest.mark.parametrize(
    ("alert", "limits"),
    [
        ("ScanBridgeDataOld", (RULES.stale_data.warning_s, RULES.stale_data.critical_s)),
        ("ScanBridgeProducerStopped", (RULES.stale_data.critical_s,)),
        ("ScanBridgeStuck", (RULES.stale_data.critical_s,)),
        ("ScanBridgeLagHigh", (RULES.high_lag.warning_s,)),
        ("ScanBridgeHistoryBehind", (RULES.history_behind.after_s,)),
        ("ScanBridgeMemoryHigh", (RULES.memory.warning_mb, RULES.memory.critical_mb)),
        ("ScanBridgeMemoryCritical", (RULES.memory.critical_mb,)),
        ("ScanBridgeCpuHigh", (RULES.cpu.warning_percent, RULES.cpu.critical_percent)),
        ("ScanBridgeCpuCritical", (RULES.cpu.critical_percent,)),
        ("ScanBridgeFewScans", (RULES.few_files.warning_under_per_min,)),
        ("ScanBridgeNoScans", (RULES.few_files.critical_under_per_5min,)),
    ],
)
def test_an_alert_rule_of_prometheus_has_the_limits_of_the_shipped_rule(alert: str, limits: tuple[float, ...]) -> None:
    groups = yaml.safe_load((DOCS / "dashboard" / "alerts.yml").read_text())["groups"]
    (rule,) = [rule for group in groups for rule in group["rules"] if rule.get("alert") == alert]

    compared = re.findall(r"[<>]=? (\d+)(?:e6)?(?![\d])", rule["expr"])

    for limit in limits:
        assert f"{limit:g}" in compared


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_row_of_a_table_has_as_many_cells_as_its_head(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)
    tables = re.findall(r"(?:^\|.*\n)+", text, flags=re.M)
    for rows in (table.splitlines() for table in tables):
        cells = [len(re.findall(r"(?<!\\)\|", row)) for row in rows]
        assert cells == [cells[0]] * len(rows), rows[cells.index(next(n for n in cells if n != cells[0]))]


def test_links_between_the_documents_lead_somewhere() -> None:
    pages = PAGES
    links = [
        (page, link)
        for page in pages
        for link in re.findall(r"\]\((?!https?://|#)([^)#]+)(?:#[^)]*)?\)", page.read_text())
    ]

    assert links
    assert [
        f"{page.relative_to(REPOSITORY)}: {link}" for page, link in links if not (page.parent / link).exists()
    ] == []


def test_the_architecture_names_every_module_and_no_other() -> None:
    named = set(re.findall(r"`((?:bridge|healthcheck)/[\w/]+\.py)`", (DOCS / "architecture.md").read_text()))
    modules = {
        str(path.relative_to(REPOSITORY))
        for package in ("bridge", "healthcheck")
        for path in (REPOSITORY / package).rglob("*.py")
        if path.name != "__init__.py"
    }

    assert sorted(modules - named) == [], "not in docs/architecture.md"
    assert sorted(named - modules) == [], "only in docs/architecture.md"
