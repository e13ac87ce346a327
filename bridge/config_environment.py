"""The environment over the configuration file: `SCAN_BRIDGE_<SECTION>__<KEY>`. Pure; the environment is given.

A text stays a text, whatever it looks like; what is a list or a section by its type is written as JSON. (Of
pydantic-settings, which does this as well and a dozen things more, the import took a tenth of a check.)
"""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from bridge.config_file import ENV_PREFIX, ConfigError

DELIMITER = "__"
HINT = f"""a list is written as JSON: {ENV_PREFIX}HAZELCAST__MEMBERS='["10.0.0.5:5701"]'"""


def overlaid(document: Mapping[str, Any], model: type[BaseModel], environment: Mapping[str, str]) -> Mapping[str, Any]:
    """The document with what the environment sets. What the model has no field for, or does not look into, is left out.

    Raises:
        ConfigError: a variable, which is named, should be JSON and is not.
    """
    sections = {name for name, field in model.model_fields.items() if field.annotation is not Any}
    settings = {}
    for variable, text in environment.items():
        path = variable.removeprefix(ENV_PREFIX).lower().split(DELIMITER)
        if variable.startswith(ENV_PREFIX) and path[0] in sections:
            settings[tuple(path)] = _value(variable, text, _type_at(model, path))
    for place, value in sorted(settings.items(), key=lambda item: len(item[0])):  # a whole section before its keys
        for name in reversed(place):
            value = {name: value}
        document = _merged(document, value)
    return document


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        known = merged.get(name)
        merged[name] = _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return merged


def _value(variable: str, text: str, type_: Any) -> Any:
    if not text or not _is_structured(type_):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError(f"environment variable {variable}: not valid JSON: {error}; {HINT}") from error


def _type_at(type_: Any, path: list[str]) -> Any:
    """The type of what lies there; None where the model has no such thing."""
    for name in path:
        if isinstance(type_, type) and issubclass(type_, BaseModel):
            field = type_.model_fields.get(name)
            type_ = field.annotation if field else None
        elif get_origin(type_) is dict:
            type_ = get_args(type_)[1]
        else:
            return None
    return type_


def _is_structured(type_: Any) -> bool:
    origin = get_origin(type_)
    if origin is Annotated:
        return _is_structured(get_args(type_)[0])
    if origin in (Union, types.UnionType):
        return any(map(_is_structured, get_args(type_)))
    kind = origin or type_
    return isinstance(kind, type) and issubclass(kind, BaseModel | dict | list | tuple | set)
