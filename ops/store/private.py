"""Files that hold secrets: only their owner may read them, and no error quotes what is in them."""

from __future__ import annotations

import os
from pathlib import Path

from ops.errors import UsageError


def read_private(path: Path, what: str, hint: str) -> str:
    """The text of a file; UsageError where it is missing, open to others, or no text. `what` names it in the error."""
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(f"could not read the {what} {path}", detail=reason, hint=hint) from None
    if mode & 0o077:
        raise UsageError(
            f"the {what} {path} can be read by others",
            detail=f"its mode is {mode:04o}",
            hint=f"chmod 0400 {path}, and replace the keys if others use this host.",
        )
    return text
