"""Where values come from.

Order of precedence: ``SYNNEFO_<GROUP>__<FIELD>`` in the environment, the settings file, the
default. The file is ``--config``, else ``SYNNEFO_CONFIG``, else ``$SYNNEFO_HOME/synnefo.toml``,
else ``/etc/synnefo/synnefo.toml``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from attrs import Attribute, fields

from synnefo_tx.settings.field import SettingsError, bounds_of, is_within
from synnefo_tx.settings.groups import DEFAULT_HOME, Settings, groups

SYSTEM_FILE = Path("/etc/synnefo/synnefo.toml")


def load(environ: Mapping[str, str], config: str | None = None) -> Settings:
    """Read the settings.

    Raises SettingsError naming the file or variable, the field and what is expected.
    """
    home = Path(environ.get("SYNNEFO_HOME") or DEFAULT_HOME).absolute()
    document, source = _document(environ, home, config)
    unknown = set(document) - set(groups())
    if unknown:
        raise SettingsError(f"{source}: unknown group [{min(unknown)}]")
    values: dict[str, Any] = {}
    for name, group in groups().items():
        table = document.get(name, {})
        if not isinstance(table, dict):
            raise SettingsError(f"{source}: {name} must be a table: [{name}]")
        values[name] = _group(name, group, table, environ, source)
    _refuse_unknown_variables(environ)
    return Settings(home=home, **values)


def _document(
    environ: Mapping[str, str], home: Path, config: str | None
) -> tuple[dict[str, Any], str]:
    named = config or environ.get("SYNNEFO_CONFIG")
    candidates = [Path(named)] if named else [home / "synnefo.toml", SYSTEM_FILE]
    for path in candidates:
        try:
            with path.open("rb") as stream:
                return tomllib.load(stream), str(path)
        except FileNotFoundError:
            if named:
                raise SettingsError(f"settings file {path} does not exist") from None
        except OSError as error:
            raise SettingsError(f"cannot read settings file {path}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"settings file {path} is not TOML: {error}") from None
    return {}, "settings"


def _group(
    name: str, group: type[Any], table: dict[str, Any], environ: Mapping[str, str], source: str
) -> Any:
    attributes: dict[str, Attribute[Any]] = {each.name: each for each in fields(group)}
    unknown = set(table) - set(attributes)
    if unknown:
        raise SettingsError(f"{source}: unknown setting {name}.{min(unknown)}")
    hints = get_type_hints(group)
    values: dict[str, Any] = {}
    for key, attribute in attributes.items():
        where = variable = f"SYNNEFO_{name.upper()}__{key.upper()}"
        if variable in environ:
            values[key] = _from_text(hints[key], environ[variable], variable)
        elif key in table:
            where = f"{source}: {name}.{key}"
            values[key] = _from_toml(hints[key], table[key], where)
        if key in values and not is_within(attribute, values[key]):
            raise SettingsError(f"{where} must be {bounds_of(attribute)}, not {values[key]}")
    return group(**values)


def _refuse_unknown_variables(environ: Mapping[str, str]) -> None:
    known = {
        f"SYNNEFO_{name.upper()}__{each.name.upper()}"
        for name, group in groups().items()
        for each in fields(group)
    }
    for variable in environ:
        if variable.startswith("SYNNEFO_") and "__" in variable and variable not in known:
            raise SettingsError(f"environment variable {variable} is no setting")


def _from_toml(kind: Any, value: Any, where: str) -> Any:
    if get_origin(kind) is tuple:
        inner = get_args(kind)[0]
        if not isinstance(value, list):
            raise SettingsError(f"{where} must be a list")
        return tuple(_from_toml(inner, each, where) for each in value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise SettingsError(f"{where} must be of type {kind.__name__}, not {value!r}")
    return value


def _from_text(kind: Any, text: str, where: str) -> Any:
    if get_origin(kind) is tuple:
        inner = get_args(kind)[0]
        return tuple(_from_text(inner, each.strip(), where) for each in text.split(",") if each)
    if kind is bool:
        lowered = text.lower()
        if lowered not in ("true", "false", "1", "0", "yes", "no"):
            raise SettingsError(f"{where} must be true or false, not {text!r}")
        return lowered in ("true", "1", "yes")
    try:
        return kind(text)
    except ValueError:
        raise SettingsError(f"{where} must be of type {kind.__name__}, not {text!r}") from None
