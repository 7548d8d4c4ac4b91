"""The header of a safetensors file, and whether the file is whole: without reading its weights."""

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.errors import BrokenModel

LENGTH = 8  # bytes that hold the header's length
MAX_HEADER = 100 * 1024**2  # the format's own limit
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64,
    "C64": 64,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorFile:
    """parameters: numbers in it. bytes: that they take. dtype: of most of them."""

    parameters: int
    bytes: int
    dtype: str


def read(file: Path) -> TensorFile:
    """What the file holds. Raises BrokenModel naming the file and what is wrong with it."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        raw = stream.read(LENGTH)
        length = struct.unpack("<Q", raw)[0] if len(raw) == LENGTH else 0
        if length < 2 or length > min(MAX_HEADER, size - LENGTH):
            raise _broken(file, f"its header would be {length} bytes long, in a file of {size}")
        text = stream.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        raise _broken(file, "its header is not JSON") from None
    if not isinstance(header, dict):
        raise _broken(file, "its header is no JSON object")
    return _summed(file, header, size - LENGTH - length)


def _summed(file: Path, header: dict[str, Any], room: int) -> TensorFile:
    ends, parameters, by_dtype = 0, 0, dict[str, int]()
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        dtype, count, begin, end = _tensor(file, name, tensor)
        if not 0 <= begin <= end <= room:
            raise _broken(file, f"the tensor {name[:80]} ends at byte {end} of {room}")
        if dtype in BITS and (count * BITS[dtype] + 7) // 8 != end - begin:
            raise _broken(file, f"the tensor {name[:80]} has {end - begin} bytes for {count} numbers of {dtype}")
        ends, parameters = max(ends, end), parameters + count
        by_dtype[dtype] = by_dtype.get(dtype, 0) + count
    if ends != room:
        raise _broken(file, f"its tensors end at byte {ends} of {room}")
    return TensorFile(
        parameters=parameters, bytes=room, dtype=max(by_dtype, key=lambda key: by_dtype[key], default="")
    )


def _tensor(file: Path, name: str, tensor: Any) -> tuple[str, int, int, int]:
    """Its dtype, how many numbers it has, and where it begins and ends."""
    try:
        begin, end = tensor["data_offsets"]
        count = 1
        for side in tensor["shape"]:
            count *= _whole(side)
        return str(tensor["dtype"]), count, _whole(begin), _whole(end)
    except (KeyError, TypeError, ValueError):
        raise _broken(file, f"the tensor {name[:80]} has no shape, type or place") from None


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(value)
    return value


def _broken(file: Path, why: str) -> BrokenModel:
    return BrokenModel(f"{file} is no whole safetensors file: {why}", hint="pull the model again")
