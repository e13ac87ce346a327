"""The environment over the configuration file: `SCAN_BRIDGE_<SECTION>__<KEY>`.

pydantic-settings reads it, which takes a tenth of a second to import: only where such a variable is set.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from bridge.config_file import ENV_PREFIX, ConfigError

DELIMITER = "__"
HINT = f"""a list is written as JSON: {ENV_PREFIX}HAZELCAST__MEMBERS='["10.0.0.5:5701"]'"""


def overlaid(document: Mapping[str, Any], model: type[BaseModel]) -> Mapping[str, Any]:
    """The document with what the environment sets. What the model has no field for is left out.

    Raises:
        ConfigError: what should be JSON, for it sets a list or a section, is not.
    """
    if not any(variable.startswith(ENV_PREFIX) for variable in os.environ):
        return document
    from pydantic_settings import EnvSettingsSource
    from pydantic_settings.exceptions import SettingsError

    try:
        given = EnvSettingsSource(model, env_prefix=ENV_PREFIX, env_nested_delimiter=DELIMITER)()  # type: ignore[arg-type]
    except SettingsError as error:
        raise ConfigError(f"environment: {error}: {error.__cause__}; {HINT}") from error
    return _merged(document, given)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        known = merged.get(name)
        merged[name] = _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return merged
