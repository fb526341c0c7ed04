"""Where a log begins whose oldest octets were given back to the disk.

`run.log` is kept within its limit by punching a hole into its beginning: the file keeps its length, and what was
given back reads as zeros, gigabytes of them. For every reader the log begins behind them.
"""

from __future__ import annotations

import errno
import os

LEAST_HOLE = 512
"""No file system gives back less; zeros before that are octets that somebody wrote."""
_PAGE = 4096
_BLOCK = 1 << 14
_SEARCHED = 1 << 20
"""Octets in which the first line break after a hole is looked for."""


def log_start(descriptor: int) -> int:
    """Offset at which the log in the open file begins: 0, or behind a hole the first line that is there as a whole.

    Where no line break comes within a mebibyte (a progress bar, say) it begins at the first octet that is left. Takes
    the same moment however large the hole is; raises `OSError` when the file cannot be read.
    """
    begin = hole_end(descriptor)
    return begin if begin == 0 else _after_line_break(descriptor, begin)


def hole_end(descriptor: int) -> int:
    """Offset of the first octet after the zeros that the file begins with; 0 where those are no hole."""
    begin = _first_data(descriptor)
    size = os.fstat(descriptor).st_size
    if begin < size and os.pread(descriptor, 1, begin) == b"\0":
        begin = _after_zeros(descriptor, begin, size)
    return begin if begin >= LEAST_HOLE else 0


def _first_data(descriptor: int) -> int:
    """What the file system says; 0 where it cannot tell, the file's size where all of it is a hole."""
    try:
        return os.lseek(descriptor, 0, os.SEEK_DATA)
    except OSError as error:
        return os.fstat(descriptor).st_size if error.errno == errno.ENXIO else 0


def _after_zeros(descriptor: int, begin: int, size: int) -> int:
    """The end of the zeros that begin at `begin`, found by halving: a log holds no page of zeros but in its hole."""
    last_zero, first_other = begin // _PAGE, -(-size // _PAGE)
    while first_other - last_zero > 1:
        middle = (last_zero + first_other) // 2
        if os.pread(descriptor, _PAGE, middle * _PAGE).strip(b"\0"):
            first_other = middle
        else:
            last_zero = middle
    for page in (last_zero, first_other):
        start = max(begin, page * _PAGE)
        octets = os.pread(descriptor, _PAGE, start)
        if rest := octets.lstrip(b"\0"):
            return start + len(octets) - len(rest)
    return size


def _after_line_break(descriptor: int, begin: int) -> int:
    """Start of the first line after `begin`, where a line has lost its beginning; `begin` when there is none near."""
    for position in range(begin, begin + _SEARCHED, _BLOCK):
        octets = os.pread(descriptor, _BLOCK, position)
        if (place := octets.find(b"\n")) >= 0:
            return position + place + 1
        if len(octets) < _BLOCK:
            break
    return begin
