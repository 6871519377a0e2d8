"""What does a strategy see of the market at a bar? All bars so far, one list per column, its own to do with as it likes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class MarketData(dict[str, Any]):
    """What is known at a bar: a program's own copy of each column, made when it is first looked at.

    Most strategies read one column of five, and a copy of all of them at every bar costs as much as the strategy. Whatever reads
    more than one key (a loop, `dict(data)`, JSON) finds all of them there.
    """

    def __init__(self, fixed: Mapping[str, Any], columns: Mapping[str, list[Any]]) -> None:
        super().__init__({name: value for name, value in fixed.items() if name not in columns})
        self._unread = dict(columns)

    def __missing__(self, name: str) -> list[Any]:
        cells = self._unread.pop(name).copy()
        super().__setitem__(name, cells)
        return cells

    def _read_all(self) -> None:
        for name in tuple(self._unread):
            if not super().__contains__(name):
                self.__missing__(name)
        self._unread.clear()

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self._unread

    def __len__(self) -> int:
        self._read_all()
        return super().__len__()

    # Overriding this one also keeps `dict(data)` and `{**data}` from copying past us.
    def __iter__(self) -> Iterator[str]:
        self._read_all()
        return super().__iter__()

    def __eq__(self, other: object) -> bool:
        self._read_all()
        return super().__eq__(other)

    __hash__ = None

    def __repr__(self) -> str:
        self._read_all()
        return super().__repr__()

    def __delitem__(self, name: str) -> None:
        self._read_all()
        super().__delitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401 - `get` is what is defined here

    def keys(self) -> Any:
        self._read_all()
        return super().keys()

    def values(self) -> Any:
        self._read_all()
        return super().values()

    def items(self) -> Any:
        self._read_all()
        return super().items()

    def copy(self) -> dict[str, Any]:
        return dict(self)

    def pop(self, *arguments: Any) -> Any:
        self._read_all()
        return super().pop(*arguments)

    def popitem(self) -> tuple[str, Any]:
        self._read_all()
        return super().popitem()

    def setdefault(self, name: str, default: Any = None) -> Any:
        self._read_all()
        return super().setdefault(name, default)

    def __or__(self, other: Any) -> Any:
        return dict(self) | other

    def __ror__(self, other: Any) -> Any:
        return dict(other) | dict(self)

    def __reversed__(self) -> Iterator[str]:
        self._read_all()
        return super().__reversed__()
