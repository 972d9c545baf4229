"""Characters of Japanese pages that Python's codecs leave out: the Encoding Standard's index `jis0208` has NEC's row 13
(circled and Roman numbers, units) and IBM's letters in EUC-JP and ISO-2022-JP too.

Importing this registers `JIS_ERRORS`, for the `errors` of `bytes.decode` with the codecs of `JIS_CODECS`.
"""

from __future__ import annotations

import codecs

__all__ = ["JIS_CODECS", "JIS_ERRORS"]

JIS_CODECS = ("euc_jp", "iso2022_jp_ext")
JIS_ERRORS = "spark_prox.jis"
ROWS = CELLS = 94


def _read_as_cp932(error: UnicodeError) -> tuple[str, int]:
    """The character of a pair that a codec does not know, by Windows' table; U+FFFD where that has none either."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    pair = error.object[error.start : error.start + 2]
    if len(pair) == 2:
        row, cell = (byte % 128 - 33 for byte in pair)
        if 0 <= row < ROWS and 0 <= cell < CELLS:
            lead = row // 2 + (0x81 if row < 62 else 0xC1)
            trail = cell + 0x9F if row % 2 else cell + (0x40 if cell < 63 else 0x41)
            try:
                return bytes((lead, trail)).decode("cp932"), error.start + 2
            except UnicodeDecodeError:
                pass
    return "\ufffd", error.end


codecs.register_error(JIS_ERRORS, _read_as_cp932)
