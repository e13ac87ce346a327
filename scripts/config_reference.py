#!/usr/bin/env python3
"""Writes docs/configuration.md from the models of the configuration, so that it cannot say anything else than they.

`make docs` calls it; a test compares. What the page says of a key is said in the model.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from healthcheck.config.settings import HealthConfig

HEAD = """\
<!-- Written by scripts/config_reference.py from bridge/config.py and healthcheck/config/; `make docs` renews it. -->
# Configuration

One TOML file, `/etc/scan-bridge/config.toml`, for the bridge and its health check. The
[example](config.example.toml) is a good start; this page has every key. Only `source.root` is required.

Environment variables win over the file: `SCAN_BRIDGE_<SECTION>__<KEY>`, deeper sections with more `__`
(`SCAN_BRIDGE_HAZELCAST__TLS__ENABLED=true`), lists as JSON (`SCAN_BRIDGE_HAZELCAST__MEMBERS='["10.0.0.5:5701"]'`).
`SCAN_BRIDGE_CONFIG` names another file for the commands. Unknown keys, wrong types and impossible values are refused;
`scan-bridge check-config` says whether the file is good and prints what is in force, `systemctl reload
dolphin-scan-bridge` takes it over. The health check reads the file anew at each check.

Durations (`_s`) are in seconds, sizes (`_bytes`) in bytes.
"""

Schema = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Write the page to the given file."""
    if len(arguments) != 1:
        print("usage: config_reference.py FILE", file=sys.stderr)
        return 2
    Path(arguments[0]).write_text(page())
    return 0


def page() -> str:
    """The whole page."""
    schema = HealthConfig.model_json_schema()
    return HEAD + "".join(
        _section(schema, schema["$defs"], heading="Before any section", path="", note="", defaults={})
    )


def _section(model: Schema, models: Schema, *, heading: str, path: str, note: str, defaults: Schema) -> Iterator[str]:
    """The model's own keys as a table, then the sections in it."""
    keys, sections = [], []
    for name, item in model["properties"].items():
        default = defaults.get(name, item.get("default"))
        inner, below = _inner(name, item, f"{path}.{name}" if path else name)
        if inner is None:
            required = name in model.get("required", ())
            keys.append(_row(name, item, "required" if required else _toml(default)))
        else:
            found = models[inner.removeprefix("#/$defs/")]
            nested = default if "$ref" in item and isinstance(default, dict) else {}
            sections.append((found, below, item.get("description", ""), nested))
    text = " ".join(model.get("description", "").split()) if path else ""
    if not text.startswith(note.rstrip(".")):
        text = f"{note} {text}"
    yield f"\n## {heading}\n" + (f"\n{text}\n" if text else "")
    if keys:
        yield "\n| key | type | default | what it is |\n| --- | --- | --- | --- |\n" + "".join(keys)
    for found, below, description, nested in sections:
        yield from _section(
            found, models, heading=f"`{below}`", path=below.strip("[]"), note=description, defaults=nested
        )


def _inner(name: str, item: Schema, path: str) -> tuple[str | None, str]:
    """The model behind a key that is a section of its own, and how its header is written."""
    if "$ref" in item:
        return item["$ref"], f"[{path}]"
    if "$ref" in item.get("items", ()):
        return item["items"]["$ref"], f"[[{path}]]"
    if "$ref" in (each := item.get("additionalProperties") or {}):
        return each["$ref"], f"[{path}.NAME]"
    return None, ""


def _row(name: str, item: Schema, default: str) -> str:
    cells = (f"`{name}`", _type(item), default, item.get("description", ""))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _type(item: Schema) -> str:
    if "anyOf" in item:
        return " or ".join(_type(choice) for choice in item["anyOf"] if choice.get("type") != "null")
    if "const" in item:
        return f"`{json.dumps(item['const'])}`"
    if "enum" in item:
        return ", ".join(f"`{json.dumps(value)}`" for value in item["enum"])
    if item["type"] == "array":
        return f"list of {_type(item['items'])}"
    if item["type"] == "boolean":
        return "`true`, `false`"
    name = str(item.get("format", item["type"]))
    limits = [
        f"{sign} {item[key]:,}".replace(",", "_")
        for key, sign in (("exclusiveMinimum", ">"), ("minimum", "≥"), ("maximum", "≤"))
        if key in item
    ]
    return name + (f", {' and '.join(limits)}" if limits else "")


def _toml(value: object) -> str:
    if value is None:
        return ""
    text = f"{value:_}" if isinstance(value, int) and not isinstance(value, bool) else json.dumps(value)
    return f"`{text}`"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
