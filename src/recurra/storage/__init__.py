"""Folders and files that are old or new, never half: for bundles and checkpoints alike.

Everything here is standard library only and POSIX only (folder handles, `fsync` of folders, `flock`).

- `write_folder`, `attach_file`: a folder with a manifest (size and sha256 of every file), exchanged as one;
- `open_folder`, `read_folder`: the same folder, verified before a byte of it is used;
- `atomic_write_text`, `atomic_write_bytes`: the same promise for a single file;
- `JsonLines`, `read_json_lines`: an append-only log that survives a torn last line;
- `FolderLock`: one working process per folder;
- `clean_leftovers`: removes what killed writers left behind.
"""

from recurra.storage.durable import (
    Payload,
    Sink,
    atomic_write_bytes,
    atomic_write_text,
    clean_leftovers,
)
from recurra.storage.exchange import recover
from recurra.storage.folder import attach_file, check_target, write_folder
from recurra.storage.json_text import canonical_json, dump_json, parse_json, plain_json
from recurra.storage.lines import JsonLines, read_json_lines
from recurra.storage.lock import FolderLock
from recurra.storage.manifest import MANIFEST, Entry, checked_name
from recurra.storage.reader import Folder, Verified, open_folder, read_folder

__all__ = [
    "MANIFEST",
    "Entry",
    "Folder",
    "FolderLock",
    "JsonLines",
    "Payload",
    "Sink",
    "Verified",
    "atomic_write_bytes",
    "atomic_write_text",
    "attach_file",
    "canonical_json",
    "check_target",
    "checked_name",
    "clean_leftovers",
    "dump_json",
    "open_folder",
    "parse_json",
    "plain_json",
    "read_folder",
    "read_json_lines",
    "recover",
    "write_folder",
]
