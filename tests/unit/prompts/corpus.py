"""A few sentences of ours, to train tokenizers of tests on."""

from __future__ import annotations

__all__ = ["SENTENCES"]

SENTENCES = (
    "The ferry leaves at 10:30 and isn't late; it's the last one today!",
    "Prices (in euros) were 12.50, 13.75 and 19.99 in 2024 -- what a year...",
    "Die Fähre fährt um halb elf, und das ist die letzte für heute.",
    "Паром отходит в половине одиннадцатого, это последний рейс на сегодня.",
    "今天的最后一班渡轮十点半开。",
    "Home | News | About us | Contact >> read more <<",
    "a b ab aab abab ba  two blanks   three blanks",
) * 4
