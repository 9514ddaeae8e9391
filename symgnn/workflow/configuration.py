"""The configuration of the workflow: checked keys and ranges, one line if one is wrong."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import yaml

from symgnn.errors import InputError

KINDS = {
    "integer": "an integer",
    "number": "a number",
    "string": "a text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}


def check_configuration(
    config: Mapping, schema_path: Path | str, files: Sequence[Path | str] = ()
) -> dict:
    """The configuration with numbers as numbers, when it agrees with its schema.

    YAML reads `1e14` as a text and `1` as an integer: values become what the schema says, so
    that `1` and `1.0` are the same and change no result.

    Args:
        config: the merged configuration.
        schema_path: JSON schema in YAML, with an additional word `unit`.
        files: the configuration files, later ones over earlier ones; to name one in a message.

    Raises:
        InputError: a key is unknown or missing, or a value is outside of its range; one line
            with file, key, value and what is allowed.
    """
    from jsonschema import Draft202012Validator

    schema = yaml.safe_load(Path(schema_path).read_text())
    raw, config = config, _converted(config, schema)
    errors = Draft202012Validator(schema).iter_errors(config)
    first = min(errors, key=lambda error: [str(part) for part in error.path], default=None)
    if first is not None:
        raise InputError(_message(first, raw, files))
    return config


def read_configuration(files: Sequence[Path | str]) -> dict:
    """The merged and checked configuration of files, later ones over earlier ones.

    The schema stands in workflow/schemas/ beside the first file.

    Raises:
        InputError: a file is missing or no YAML mapping, or `check_configuration` finds fault.
    """
    merged: dict = {}
    for file in files:
        try:
            node = yaml.safe_load(Path(file).read_text())
        except (OSError, yaml.YAMLError) as error:
            raise InputError(f"{file}: {' '.join(str(error).split())}") from None
        if not isinstance(node, dict):
            raise InputError(f"{file}: not a mapping of keys to values")
        _update(merged, node)
    schema = Path(files[0]).parent / "workflow" / "schemas" / "config.schema.yaml"
    return check_configuration(merged, schema, files)


def _update(merged: dict, overlay: Mapping) -> None:
    """Overlay mappings key by key and everything else as a whole, as Snakemake does."""
    for key, value in overlay.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), dict):
            _update(merged[key], value)
        else:
            merged[key] = value


def _converted(value: object, schema: Mapping) -> object:
    """The value with texts that are numbers, and whole floats, as the schema's type."""
    kind = schema.get("type")
    if kind == "object" and isinstance(value, Mapping):
        known = schema.get("properties", {})
        others = schema.get("additionalProperties") or {}
        return {key: _converted(item, known.get(key, others)) for key, item in value.items()}
    if kind == "array" and isinstance(value, list):
        return [_converted(item, schema.get("items", {})) for item in value]
    if kind in ("integer", "number") and isinstance(value, str | int | float):
        return _number(value, kind)
    return value


def _number(value: str | int | float, kind: str) -> object:
    if isinstance(value, bool):
        return value
    try:
        number = float(value)
    except ValueError:
        return value
    if not math.isfinite(number):
        return str(value)  # no range check sees a NaN
    if kind == "integer":
        return int(number) if number.is_integer() else value
    return number


def _message(error, config: Mapping, files: Iterable[Path | str]) -> str:
    """One line for an error of jsonschema; `config` holds the values as they were written."""
    path = list(error.absolute_path)
    value = config
    for part in path:
        value = value[part]
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        unknown = next(key for key in error.instance if key not in known)
        path, value = [*path, unknown], value[unknown]
        text = f"unknown key; known here: {', '.join(known) or 'none'}"
    elif "propertyNames" in error.absolute_schema_path:
        path, value = [*path, error.instance], value[error.instance]
        text = f"the key must be {describe(error.schema)}"
    elif error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        path = [*path, missing]
        text = f"missing; {describe(error.schema['properties'][missing])} is needed"
        return f"{', '.join(map(str, files)) or 'config'}: {_dotted(path)}: {text}"
    else:
        text = f"{value!r} is not allowed; it must be {describe(error.schema)}"
    return f"{_origin(path, value, files)}: {_dotted(path)}: {text}"


def describe(schema: Mapping) -> str:
    """What a value may be, in words: type, range and unit."""
    if "description" in schema:
        return schema["description"]
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    text = KINDS.get(schema.get("type"), "a value")
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    if low is not None:
        text += f" from {low:g}" if (high, below) != (None, None) else f" of {low:g} or more"
    if above is not None:
        text += f" above {above:g}"
    if high is not None:
        text += f" up to {high:g}"
    if below is not None:
        text += f" to below {below:g}"
    if schema.get("minItems"):
        text += f" of {schema['minItems']} or more"
    if schema.get("uniqueItems"):
        text += ", each once"
    if "pattern" in schema:
        text += f" of the form {schema['pattern']}"
    return text + (f" {schema['unit']}" if "unit" in schema else "")


def _dotted(path: Sequence) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "(top level)"


def _origin(path: Sequence, value: object, files: Iterable[Path | str]) -> str:
    """The last file that holds the value at its key; the command line where none does."""
    for file in reversed(list(files)):
        node = yaml.safe_load(Path(file).read_text())
        try:
            for part in path:
                node = node[part]
        except (KeyError, IndexError, TypeError):
            continue
        if node == value:
            return str(file)
    return "the command line"
