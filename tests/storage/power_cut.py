"""What a disk holds after a power cut, worked out from the system calls that were made.

A model of the harshest file system that POSIX allows: the content of a file survives only as it was at its
last fsync, and the names in a folder only as they were at its last fsync, though any later change of names
may have reached the disk too, in each folder by itself. `states()` lists what the disk may hold at the
moment; `every_cut` runs a writer and hands every such state, after every call, to a check.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from recurra.storage import exchange as exchange_module


class Node:
    """A file or a folder of the model: what is there, and what of it may be on the disk."""

    def __init__(self, content: bytes | None = None) -> None:
        self.content = content  # of a file, as last fsynced
        self.names: dict[str, Node] | None = None if content is not None else {}
        self.versions: list[dict[str, Node]] = [{}]  # of a folder: as last fsynced, then every change since

    def changed(self) -> None:
        assert self.names is not None
        self.versions.append(dict(self.names))

    def synced(self) -> None:
        assert self.names is not None
        self.versions = [dict(self.names)]


class Disk:
    """The model of everything below `root`, which is taken to be durable as it is."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.realpath(root))
        self.top = self._taken(self.root)

    def _taken(self, path: Path) -> Node:
        if not path.is_dir():
            return Node(path.read_bytes())
        node = Node()
        node.names = {name: self._taken(path / name) for name in os.listdir(path)}
        node.synced()
        return node

    def parts(self, path: Any, dir_fd: int | None = None) -> tuple[str, ...] | None:
        """The path below the root, or None where it is elsewhere."""
        base = os.readlink(f"/proc/self/fd/{dir_fd}") if dir_fd is not None else os.getcwd()
        full = os.path.normpath(os.path.join(base, os.fspath(path)))
        try:
            return Path(full).relative_to(self.root).parts
        except ValueError:
            return None

    def node(self, parts: tuple[str, ...]) -> Node:
        node = self.top
        for part in parts:
            assert node.names is not None
            node = node.names[part]
        return node

    def has(self, parts: tuple[str, ...]) -> bool:
        try:
            self.node(parts)
        except KeyError:
            return False
        return True

    def add(self, parts: tuple[str, ...], node: Node) -> None:
        parent = self.node(parts[:-1])
        assert parent.names is not None
        parent.names[parts[-1]] = node
        parent.changed()

    def drop(self, parts: tuple[str, ...]) -> None:
        parent = self.node(parts[:-1])
        assert parent.names is not None
        del parent.names[parts[-1]]
        parent.changed()

    def move(self, a: tuple[str, ...], b: tuple[str, ...]) -> None:
        node, source, target = self.node(a), self.node(a[:-1]), self.node(b[:-1])
        assert source.names is not None
        assert target.names is not None
        del source.names[a[-1]]
        target.names[b[-1]] = node
        source.changed()
        if target is not source:
            target.changed()

    def swap(self, a: tuple[str, ...], b: tuple[str, ...]) -> None:
        source, target = self.node(a[:-1]), self.node(b[:-1])
        assert source is target
        assert source.names is not None
        source.names[a[-1]], source.names[b[-1]] = source.names[b[-1]], source.names[a[-1]]
        source.changed()

    def states(self) -> Iterator[dict[str, Any]]:
        """Everything that the disk may hold now, as nested dicts of bytes."""
        yield from _states(self.top)


def _states(node: Node) -> Iterator[Any]:
    if node.names is None:
        yield node.content
        return
    versions = node.versions if len(node.versions) <= 4 else [node.versions[0], node.versions[-1]]
    for version in versions:
        names = sorted(version)
        for contents in itertools.product(*(list(_states(version[name])) for name in names)):
            yield dict(zip(names, contents, strict=True))


@contextmanager
def watched(disk: Disk, after_call: Callable[[], None]) -> Iterator[None]:
    """Follow the calls that change names or make something durable, and report each of them."""

    def wrap(name: str, follow: Callable[..., None]) -> None:
        real = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            result = real(*args, **kwargs)
            follow(result, *args, **kwargs)
            return result

        patch.setattr(os, name, call)

    def opened(_: int, path: Any, flags: int, *args: Any, dir_fd: int | None = None, **kw: Any) -> None:
        parts = disk.parts(path, dir_fd)
        if parts is not None and flags & os.O_CREAT and not disk.has(parts):
            disk.add(parts, Node(b""))
            after_call()

    def made(_: None, path: Any, *args: Any, dir_fd: int | None = None, **kw: Any) -> None:
        parts = disk.parts(path, dir_fd)
        if parts is not None:
            disk.add(parts, Node())
            after_call()

    def synced(_: None, fd: int) -> None:
        path = os.readlink(f"/proc/self/fd/{fd}")
        parts = disk.parts(path)
        if parts is not None and disk.has(parts):
            node = disk.node(parts)
            if node.names is None:
                node.content = Path(path).read_bytes()
            else:
                node.synced()
            after_call()

    def moved(_: None, a: Any, b: Any, **kw: Any) -> None:
        one, two = disk.parts(a), disk.parts(b)
        if one is not None and two is not None:
            disk.move(one, two)
            after_call()

    def linked(_: None, a: Any, b: Any, **kw: Any) -> None:
        one, two = disk.parts(a), disk.parts(b)
        if one is not None and two is not None:
            disk.add(two, disk.node(one))
            after_call()

    def removed(_: None, path: Any, *, dir_fd: int | None = None) -> None:
        parts = disk.parts(path, dir_fd)
        if parts is not None and disk.has(parts):
            disk.drop(parts)
            after_call()

    real_exchange = exchange_module.exchange

    def exchanged(a: Path, b: Path) -> bool:
        done = real_exchange(a, b)
        if done:
            one, two = disk.parts(a), disk.parts(b)
            assert one is not None
            assert two is not None
            disk.swap(one, two)
            after_call()
        return done

    with pytest.MonkeyPatch.context() as patch:
        wrap("open", opened)
        wrap("mkdir", made)
        wrap("fsync", synced)
        wrap("rename", moved)
        wrap("replace", moved)
        wrap("link", linked)
        wrap("unlink", removed)
        wrap("rmdir", removed)
        patch.setattr(exchange_module, "exchange", exchanged)
        yield


def every_cut(root: Path, scratch: Path, write: Callable[[], object], check: Callable[[Path], None]) -> int:
    """Run `write`, which works below `root`; after every call hand all states of the disk to `check`.

    Each different state is laid out once, below `scratch`. Returns how many there were.
    """
    disk, states = Disk(root), {}

    def collect() -> None:
        for state in disk.states():
            states.setdefault(repr(state), state)

    with watched(disk, collect):
        write()
    for number, state in enumerate(states.values()):
        place = scratch / str(number)
        _lay_out(place, state)
        check(place)
        shutil.rmtree(place)
    return len(states)


def _lay_out(place: Path, state: Any) -> None:
    if isinstance(state, bytes):
        place.write_bytes(state)
        return
    place.mkdir(parents=True)
    for name, content in state.items():
        _lay_out(place / name, content)
