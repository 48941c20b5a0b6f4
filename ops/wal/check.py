"""Is a file what its name says, and of this database? Asked before it is archived; pure functions over bytes.

The rules for segments are those that PostgreSQL reads WAL by (XLogReaderValidatePageHeader in xlogreader.c).
"""

from __future__ import annotations

import re
import struct

from ops.errors import OpsError
from ops.model.lsn import LSN
from ops.model.segment import Kind, Segment, WalFile
from ops.model.timeline import History

# XLogLongPageHeaderData (src/include/access/xlog_internal.h): magic, info, timeline, page address, length of
# the record continued here, padding, system identifier, segment size, page size; in the machine's byte order.
_LONG_HEADER = struct.Struct("=HHIQI4xQII")
_IS_LONG = 0x0002
_MAGIC = {15: 0xD110, 16: 0xD113, 17: 0xD116, 18: 0xD118}  # by major version
_BACKUP_START = re.compile(rb"START WAL LOCATION: [0-9A-F]+/[0-9A-F]+ \(file ([0-9A-F]{24})\)\n")


class Refused(OpsError):
    """The file must not be archived: it is not what its name says, not ours, or another one is stored already."""


def check_file(
    file: WalFile, contents: bytes, *, system_identifier: int, major_version: int, history: History | None
) -> None:
    """Refused where `contents` are not those of `file` of this database.

    `history` is that of the file's timeline, None where it is not known (then less is checked).
    """
    if file.kind is Kind.HISTORY:
        _check_history(file, contents)
    elif file.kind is Kind.BACKUP:
        _check_backup_label(file, contents)
    else:
        _check_segment(file, contents, system_identifier, major_version, history)


def _check_segment(
    file: WalFile, contents: bytes, system_identifier: int, major_version: int, history: History | None
) -> None:
    if not contents:
        raise _refused(file, "it is empty")
    try:
        segment = Segment.parse(file.name[:24], len(contents))
    except ValueError as error:
        raise _refused(file, str(error)) from None
    magic, info, timeline, address, _, owner, segment_size, _ = _LONG_HEADER.unpack_from(contents)
    known = _MAGIC.get(major_version)
    if magic != known if known is not None else magic >> 8 != 0xD1:
        raise _refused(file, f"its first page has the magic number {magic:04X}: no WAL of PostgreSQL {major_version}")
    if not info & _IS_LONG:
        raise _refused(file, "its first page has no long header, which the first page of a segment has")
    if owner != system_identifier:
        raise Refused(
            f"{file.name} belongs to another database",
            detail=f"its system identifier is {owner}, that of this data directory is {system_identifier}",
            hint="Somebody has copied a file into pg_wal. Find out which server it comes from; it was not archived.",
        )
    if segment_size != segment.size:
        raise _refused(file, f"it has {len(contents)} bytes, and its header says {segment_size}")
    if LSN(address) != segment.start:
        raise _refused(file, f"its first page is that of {LSN(address)}, not of {segment.start}")
    _check_timeline(file, timeline, segment, history)


def _check_timeline(file: WalFile, timeline: int, segment: Segment, history: History | None) -> None:
    """The first page carries the timeline that was current when it was written.

    In the first segment of a timeline that is the parent's, where the switch came after the segment's start:
    PostgreSQL copies the parent's pages up to there (XLogInitNewTimeline in xlog.c).
    """
    if history is not None and timeline != (expected := history.timeline_at(segment.start)):
        raise _refused(file, f"its first page is of timeline {timeline}, by the history it has to be {expected}")
    if not 1 <= timeline <= file.timeline:
        raise _refused(file, f"its first page is of timeline {timeline}, its name is of {file.timeline}")


def _check_history(file: WalFile, contents: bytes) -> None:
    try:
        history = History.parse(file.timeline, contents.decode())
    except ValueError as error:
        raise _refused(file, str(error)) from None
    if not history.ancestors:
        raise _refused(file, "it names no timeline that this one came from")


def _check_backup_label(file: WalFile, contents: bytes) -> None:
    match = _BACKUP_START.match(contents)
    if not match or match[1].decode() != file.name[:24]:
        raise _refused(file, "it does not begin with the start of a backup in that segment")


def _refused(file: WalFile, detail: str) -> Refused:
    return Refused(
        f"{file.name} is not what its name says",
        detail=detail,
        hint="It was not archived. PostgreSQL keeps it and asks again; a standby may have an intact copy.",
    )
