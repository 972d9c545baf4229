"""Read the small files of a model's folder, which anybody may have written: JSON objects and safetensors headers.

Every problem is a ModelError that names the file. Sizes are bounded before anything is read, and only regular files are
opened: a pipe would block for ever. Knows no key of any file.
"""

from __future__ import annotations

import json
import math
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spark_prox.errors import ModelError

__all__ = ["check_regular", "finite_number", "read_object", "tensor_sizes", "token_ids"]

_MAX_BYTES = 16 << 20
_MAX_HEADER_BYTES = 100_000_000  # the format's own limit
_MAX_TENSOR = 1 << 50
_MAX_TOKEN_ID = 1 << 31


def read_object(file: Path) -> dict[str, Any]:
    """A JSON file that holds one object.

    Raises:
        ModelError: MODEL_BAD_METADATA.
    """
    if check_regular(file) > _MAX_BYTES:
        raise _bad(file, f"it has more than {_MAX_BYTES >> 20} MiB")
    try:
        value = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise _bad(file, f"it is no JSON ({type(error).__name__})") from None
    if not isinstance(value, dict):
        raise _bad(file, "it is no JSON object")
    return value


def check_regular(file: Path) -> int:
    """The size of a regular file.

    Raises:
        ModelError: MODEL_BAD_METADATA.
    """
    try:
        status = file.stat()
    except OSError as error:
        raise _bad(file, type(error).__name__) from None
    if not stat.S_ISREG(status.st_mode):
        raise _bad(file, "it is no regular file")
    return status.st_size


def finite_number(file: Path, values: dict[str, Any], name: str) -> float:
    """A number of a JSON object that was read from a file.

    Raises:
        ModelError: MODEL_BAD_METADATA.
    """
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise _bad(file, f"{name} is {_shown(value)}, expected a number")
    return float(value)


def token_ids(file: Path, name: str, value: object) -> tuple[int, ...]:
    """Token ids of a setting: one id, a list of ids, or none.

    Raises:
        ModelError: MODEL_BAD_METADATA.
    """
    values = value if isinstance(value, list) else [] if value is None else [value]
    for number in values:
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < _MAX_TOKEN_ID:
            raise _bad(file, f"{name} is {_shown(value)}, expected a token id")
    return tuple(values)


def tensor_sizes(file: Path) -> Iterator[tuple[str, int]]:
    """Name and number of elements of each tensor of a safetensors file.

    Raises:
        ModelError: MODEL_BAD_METADATA.
    """
    bytes_there = check_regular(file)
    with file.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        if not 0 < size <= min(_MAX_HEADER_BYTES, bytes_there - 8):
            raise _bad(file, f"its header claims {size} bytes")
        data = stream.read(size)
    try:
        header = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _bad(file, f"its header is no JSON ({type(error).__name__})") from None
    if not isinstance(header, dict):
        raise _bad(file, "its header is no JSON object")
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        shape = tensor.get("shape") if isinstance(tensor, dict) else None
        if not isinstance(shape, list) or len(shape) > 16:
            raise _bad(file, f"its tensor {name[:80]!r} has no shape")
        count = 1
        for length in shape:
            if isinstance(length, bool) or not isinstance(length, int) or not 0 <= length <= _MAX_TENSOR:
                raise _bad(file, f"its tensor {name[:80]!r} has no shape")
            count *= length
        if count > _MAX_TENSOR:
            raise _bad(file, f"its tensor {name[:80]!r} has no possible size")
        yield name, count


def _shown(value: object) -> str:
    return repr(value)[:40] if isinstance(value, (str, float, bool, type(None))) else type(value).__name__


def _bad(file: Path, why: str) -> ModelError:
    return ModelError(
        "MODEL_BAD_METADATA",
        f"The file {file.name!r} of the model in {str(file.parent)!r} cannot be used: {why}.",
        "Download the model again, from a source that you trust.",
    )
