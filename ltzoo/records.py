"""Records: frozen dataclasses that go to JSON or TOML and come back checked.

Everything that ltzoo reads from a file that somebody else may have written (a model spec, a bridge's
config, a registry row) is a record. Types and bounds stand in the annotations
(``Annotated[int, msgspec.Meta(ge=1)]``) and are checked by msgspec; rules across fields stand in
``__post_init__``. Unknown keys are refused, so that a misspelt key cannot pass in silence.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from ltzoo.errors import SpecError

__all__ = ["Record", "decode_record"]

R = TypeVar("R", bound="Record")


class Record:
    """Base of the frozen dataclasses that have a JSON form."""

    def to_dict(self) -> dict[str, Any]:
        """The record as plain dicts, lists, strings, numbers and booleans; unset fields are left out."""
        return {
            field.name: _plain(getattr(self, field.name))
            for field in dataclasses.fields(self)  # type: ignore[arg-type]
            if getattr(self, field.name) is not None
        }

    def to_json(self) -> str:
        """The record as indented JSON with keys in the order of the fields."""
        return msgspec.json.format(msgspec.json.encode(self.to_dict()), indent=2).decode() + "\n"

    @classmethod
    def from_dict(cls: type[R], data: Any, *, where: str = "") -> R:
        """Builds the record from plain data.

        Args:
            data: What ``to_dict`` gave, or JSON or TOML parsed into plain values.
            where: What ``data`` is, for the error message (a path, a row's id).

        Raises:
            SpecError: A value has the wrong type or is out of bounds, or a key is unknown.
        """
        return decode_record(cls, data, where=where or cls.__name__)

    @classmethod
    def from_json(cls: type[R], text: str | bytes, *, where: str = "") -> R:
        """Builds the record from JSON text.

        Raises:
            SpecError: The text is not JSON, or not a valid record.
        """
        where = where or cls.__name__
        try:
            data = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SpecError(f"{where}: not valid JSON: {error}") from error
        return cls.from_dict(data, where=where)


def decode_record(cls: type[R], data: Any, *, where: str) -> R:
    """Builds a record of type ``cls`` from plain data; see `Record.from_dict`."""
    try:
        record = msgspec.convert(data, cls)
    except msgspec.ValidationError as error:
        raise SpecError(f"{where}: {error}") from error
    except RecursionError as error:
        raise SpecError(f"{where}: nested too deeply") from error
    _refuse_unknown_keys(record, data, where)
    return record


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(_plain(item) for item in value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _refuse_unknown_keys(value: Any, data: Any, where: str) -> None:
    """Walks the record beside the data it came from: msgspec passes over unknown keys of dataclasses."""
    if isinstance(value, Record) and isinstance(data, Mapping):
        known = {field.name for field in dataclasses.fields(value)}  # type: ignore[arg-type]
        for key in data:
            if key not in known:
                raise SpecError(
                    f"{where}: unknown key '{key}'", hint=f"known keys: {', '.join(sorted(known))}"
                )
        for name in known & set(data):
            _refuse_unknown_keys(getattr(value, name), data[name], f"{where}.{name}")
    elif isinstance(value, Mapping) and isinstance(data, Mapping):
        for key, item in value.items():
            _refuse_unknown_keys(item, data.get(key), f"{where}.{key}")
    elif isinstance(value, list | tuple) and isinstance(data, list | tuple):
        for index, (item, part) in enumerate(zip(value, data, strict=False)):
            _refuse_unknown_keys(item, part, f"{where}[{index}]")
