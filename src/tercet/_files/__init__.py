"""Write files and folders: the only package that creates, replaces or removes what a user may own.

json_files.py        read and write JSON
checkpoint_names.py  find checkpoints by their names
model_files.py       the names of the files of a model; head_files.py of a head
paths.py             ~, symbolic links, mounts, names; explain an `OSError`
lock.py              one process at a time writes to a path
staging.py           atomic_file, atomic_directory: build in a hidden folder, then rename
exchange.py          exchange the files of an existing folder for new ones
checks.py            try the whole path of writing with empty files, before the work
file_list.py         remove only the files that Tercet wrote
"""

from tercet._files.checkpoint_names import checkpoint_name, checkpoint_step, find_checkpoints
from tercet._files.checks import check_file, check_folder, check_separate, probe_folder, reserved_folder
from tercet._files.file_list import find_unlisted, is_listed, list_files, remove_empty_folders, remove_listed
from tercet._files.json_files import (
    check_format_version,
    parse_json,
    read_json,
    read_json_value,
    write_file,
    write_json,
)
from tercet._files.lock import NAME_LENGTH, LockedError, home_of, locked, name_for
from tercet._files.paths import PREFIX, as_path, beside, check_unused, expand_path, explained, is_used, resolve_path
from tercet._files.staging import atomic_directory, atomic_file, remove_leftovers

__all__ = [
    "NAME_LENGTH",
    "PREFIX",
    "LockedError",
    "as_path",
    "atomic_directory",
    "atomic_file",
    "beside",
    "check_file",
    "check_folder",
    "check_format_version",
    "check_separate",
    "check_unused",
    "checkpoint_name",
    "checkpoint_step",
    "expand_path",
    "explained",
    "find_checkpoints",
    "find_unlisted",
    "home_of",
    "is_listed",
    "is_used",
    "list_files",
    "locked",
    "name_for",
    "parse_json",
    "probe_folder",
    "read_json",
    "read_json_value",
    "remove_empty_folders",
    "remove_leftovers",
    "remove_listed",
    "reserved_folder",
    "resolve_path",
    "write_file",
    "write_json",
]
