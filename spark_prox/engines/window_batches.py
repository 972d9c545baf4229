"""From token streams of pages to the windows that the line encoder reads. numpy alone, for training and production."""

from __future__ import annotations

from typing import Any

from spark_prox.engines.line_encoder import EncoderConfig

__all__ = ["window_arrays"]


def window_arrays(stream: Any, page_tokens: Any, config: EncoderConfig) -> dict[str, Any]:
    """The fields of `WindowBatch` as arrays, of pages whose streams are laid end to end.

    Args:
        stream: [T] int64 token ids. A page is lines, each closed by its shape token, then its quality tokens.
        page_tokens: [P] tokens of each page.

    Windows are cut every `window_tokens` - 1 tokens, wherever a line is, and never hold two pages.
    """
    import numpy as np

    pages = len(page_tokens)
    starts = np.cumsum(page_tokens) - page_tokens
    page_of = np.repeat(np.arange(pages), page_tokens)
    is_quality = stream >= config.vocabulary + config.shapes
    is_shape = (stream >= config.vocabulary) & ~is_quality
    page_lines = np.bincount(page_of[is_shape], minlength=pages)
    lines = int(page_lines.sum())
    of_line = np.where(is_quality, lines, np.cumsum(is_shape) - is_shape)
    # Where each token goes. Windows that are full come first, so that they need no mask.
    room = config.window_tokens - 1
    windows = -(-page_tokens // room)
    first_window = np.cumsum(windows) - windows
    within = np.arange(len(stream)) - np.repeat(starts, page_tokens)
    last = page_tokens - (windows - 1) * room
    partial = np.zeros(int(windows.sum()), bool)
    partial[(first_window + windows - 1)[last < room]] = True
    order = np.argsort(partial, kind="stable")
    moved_to = np.empty(len(order), np.int64)
    moved_to[order] = np.arange(len(order))
    place = moved_to[np.repeat(first_window, page_tokens) + within // room] * config.window_tokens + 1 + within % room
    ids = np.full((len(order), config.window_tokens), config.pad_id, np.int64)
    ids[:, 0] = config.start_id
    token_line = np.full(ids.shape, lines, np.int64)
    ids.reshape(-1)[place] = stream
    token_line.reshape(-1)[place] = of_line
    line_page = page_of[is_shape]
    most = int(page_lines.max(initial=1))
    first_line = np.cumsum(page_lines) - page_lines
    return {
        "ids": ids,
        "full": np.array(len(order) - int(partial.sum())),
        "lengths": 1 + last[last < room],
        "own_at": place[is_shape | is_quality],
        "token_line": token_line,
        "shape_at": place[is_shape],
        "line_tokens": np.bincount(of_line[~is_quality], minlength=lines),
        "line_place": line_page * most + np.arange(lines) - first_line[line_page],
        "most_lines": np.array(most),
        "page_lines": page_lines,
        "qualities": stream[is_quality].reshape(pages, -1) - config.vocabulary - config.shapes,
    }
