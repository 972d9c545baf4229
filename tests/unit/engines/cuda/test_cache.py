from __future__ import annotations

import random

from spark_prox.engines.cuda.cache import KeyValueCache


def cache(rows: int) -> KeyValueCache:
    import torch

    return KeyValueCache(layers=1, rows=rows, scratch=4, kv_heads=1, width=2, dtype=torch.float32, device="cpu")


def test_stretches_never_overlap_and_all_rows_come_back() -> None:
    rng, made = random.Random(0), cache(100)
    held: list[tuple[int, int]] = []
    for _ in range(500):
        if held and rng.random() < 0.5:
            made.give(*held.pop(rng.randrange(len(held))))
        else:
            count = rng.randrange(1, 30)
            start = made.take(count)
            if start is not None:
                held.append((start, count))
        rows = [row for start, count in held for row in range(start, start + count)]
        assert len(rows) == len(set(rows))
        assert all(4 <= row < 100 for row in rows)
    for stretch in held:
        made.give(*stretch)
    assert made.take(96) == 4


def test_a_stretch_that_does_not_fit_is_refused() -> None:
    made = cache(20)
    assert made.take(17) is None
    assert made.take(16) == 4
    assert made.take(1) is None
