"""Fields of JSON objects on the wire: read into dataclasses, within the bounds that the annotations say."""

from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, is_dataclass
from typing import Annotated, Any, Self, cast, get_args, get_origin

from remote_kernel.core.errors import WireError
from remote_kernel.core.numbers import AMOUNT, COUNT, Items


def from_fields(frame_class: Any, fields: Any) -> Any:
    """Build an object of the dataclass `frame_class` from JSON; raises `WireError`.

    Unknown fields are left to newer versions; a field that older ones do not send, or leave at `null`, has a default.
    """
    if not isinstance(fields, Mapping):
        raise WireError(f"the body of a {frame_class.__name__} frame is not an object")
    values: dict[str, Any] = {}
    for name, annotation in frame_class.__annotations__.items():
        value = fields.get(name)
        if value is not None or not _has_default(frame_class.__dataclass_fields__[name]):
            values[name] = _check(annotation, value, f"the field {name!r} of a {frame_class.__name__} frame")
    return frame_class(**values)


def _has_default(field: "Field[Any]") -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


class JsonAnswer:
    """An answer that is a JSON object with the fields of its dataclass, on the wire in both directions alike."""

    __slots__ = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(cast(Any, self))

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read an answer; raises `WireError`."""
        answer: Self = from_fields(cls, value)
        return answer


_BOUNDS = {int: COUNT, float: AMOUNT}


def _check(annotation: Any, value: Any, name: str) -> object:
    """Return the value of a field, within the bounds that its annotation says."""
    kind, bounds = annotation, None
    if get_origin(annotation) is Annotated:
        kind, bounds = annotation.__origin__, annotation.__metadata__[0]
    if is_dataclass(kind):
        return from_fields(kind, value)
    item_kinds, kind = get_args(kind), get_origin(kind) or getattr(kind, "__supertype__", kind)
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise WireError(f"{name} is not {kind.__name__}")
    if isinstance(bounds, Items):
        return _check_items(item_kinds, value, bounds, name)
    bounds = bounds or _BOUNDS.get(kind)
    checked = value if bounds is None else bounds.check(value, name)
    return float(checked) if kind is float else checked


def _check_items(kinds: tuple[Any, ...], value: Any, bounds: Items, name: str) -> object:
    if len(value) > bounds.most and not bounds.is_cut:
        raise WireError(f"{name} has more than {bounds.most:,} items")
    if isinstance(value, dict):
        name_kind, kind = kinds
        within = f"a name or value in {name}"
        return {_check(name_kind, key, within): _check(kind, each, within) for key, each in value.items()}
    return [_check(kinds[0], each, f"an item of {name}") for each in value[: bounds.most]]
