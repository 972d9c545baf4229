"""Words as FineWeb counts them: the tokens of spaCy's English rules, without spaCy.

The published thresholds were chosen on these tokens: `don't` is two, `well-known` three, a full stop is one of its own.
Text is cut at white space; each piece loses punctuation at its ends and is cut inside. Pieces are cached, because pages
repeat words. Knows no rule.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["is_punctuation", "split_words"]

_CACHED = 200_000
_LONG_PIECE = 2_000
"""A longer piece is no word and is cut in one pass, so that a hostile page costs no more than its length."""
_KEPT_PIECE = 100

_QUOTES = "'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉⟦⟧"
_ENDS = "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪"
_MONEY = "$£€¥฿₽﷼₴₠₡₢₣₤₥₦₧₨₩₪₫₭₮₯₰₱₲₳₵₶₷₸₹₺₻₼₾₿"
_UNITS = (
    "km²|km³|km/h|km|kmh|kg|kPa|kb|KB|kB|m²|m³|m/s|mph|mbar|mb|mm²|mm³|mm|mg|m|MB|M|dm²|dm³|dm|cm²|cm³|cm|ha|hPa|µm|µg|nm|"
    "yd|in|ft|g|t|lb|oz|Pa|gb|GB|G|tb|TB|T|K|%"
)
_LETTER = r"[^\W\d_]"
_UPPER = "A-ZÀ-ÖØ-ÞĀĂĄĆĈČĎĐĒĖĘĚĜĞĢĤĪĮİĶĹĻĽŁŃŅŇŐŒŔŖŘŚŞŠŢŤŪŮŰŲŹŻŽΑ-ΩА-ЯЁЂ-Џ"
_LOWER = rf"[^\W\d_{_UPPER}]"


def _icons() -> str:
    blocks = ((0xA0, 0x100), (0x2000, 0x3300), (0x1F000, 0x1FB00))
    return "".join(chr(c) for low, high in blocks for c in range(low, high) if unicodedata.category(chr(c)) == "So")


_ICONS = _icons()
_SINGLE = frozenset(_QUOTES + _ENDS + _ICONS + "—–")
_PREFIX = re.compile(rf"\.\.+|US\$|C\$|A\$|[§%={re.escape(_MONEY)}]|\+(?![0-9])|[{re.escape(''.join(_SINGLE))}]")
_UNIT = re.compile(rf"(?<=[0-9])(?:US\$|[{re.escape(_MONEY)}]|{_UNITS})$")
_STOPPED = frozenset(_QUOTES + _ENDS + "0123456789%²+-")
"""After these a full stop is a word of its own; also after a small letter, and after two capitals."""
_LONG_PARTS = re.compile(r"\w+|[^\w\s]")
_INSIDE = re.compile(
    rf"\.\.+|…|[{re.escape(_ICONS)}]|(?<=[0-9])[+\-*^](?=[0-9-])"
    rf"|(?:(?<={_LOWER})|(?<=[{re.escape(_QUOTES)}]))\.(?=[{_UPPER}{re.escape(_QUOTES)}])"
    rf"|(?<={_LETTER}),(?={_LETTER})|(?:(?<={_LETTER})|(?<=[0-9]))(?:---|--|——|[-–—~])(?={_LETTER})"
    rf"|(?:(?<={_LETTER})|(?<=[0-9]))[:<>=/](?={_LETTER})"
)
_LINK = re.compile(
    r"(?:[\w+\-.]{2,20}://)?(?:[^\s@]+@)?(?:[A-Za-z0-9\u00a1-\uffff](?:[A-Za-z0-9\u00a1-\uffff_-]{0,62}"
    rf"[A-Za-z0-9\u00a1-\uffff])?\.)+{_LOWER}{{2,63}}(?::\d{{2,5}})?(?:[/?#]\S*)?"
)
_NOT_CONTRACTED = frozenset(("ill", "its", "hell", "shell", "shed", "were", "well", "whore"))
_LETTERS = "abcdefghijklmnopqrstuvwxyzäöü"
_WHOLE_LIST = """
'S 's ‘S ‘s ’S ’s and/or w/o 're 'Cause 'cause 'cos 'Cos 'coz 'Coz 'll 'm 'nuff 'em ma'am Ma'am o'clock O'clock a.m.
p.m. e.g. E.g. E.G. i.e. I.e. I.E. vs. v.s. Adm. Ala. Apr. Ariz. Ark. Aug. Bros. Calif. Co. Colo. Conn. Corp. Dec.
Del. Dr. Feb. Fla. Ga. Gen. Gov. Ia. Id. Ill. Inc. Ind. Jan. Jr. Jul. Jun. Kan. Kans. Ky. La. Ltd. Mar. Mass.
Messrs. Mich. Minn. Miss. Mo. Mont. Mr. Mrs. Ms. Mt. N.C. N.D. N.H. N.J. N.M. N.Y. Neb. Nebr. Nev. Nov. Oct. Okla.
Ore. Pa. Ph.D. Prof. Rep. Rev. S.C. Sen. Sep. Sept. St. Tenn. Va. Wash. Wis. :) :( :-) :-( ;) ;-) :D :-D :P :-P :p
:-p :/ :-/ :| :-| :o :O :0 :* :3 <3 </3 =) =( =D =/ =| =3 (: (; (= 8) 8-) XD xD xDD XDD :)) :))) :(( :((( ;D ^_^
^__^ o_o O_O o.O O.o 0_0 >:( >:o @_@ V.V v.v -_- -__- ._. ¯\\(ツ)/¯ :'( :') :-)) :-))) :] :-] :} :-} :x :X :-X :-x [:
[-: (-: (-; ;_; <.< >.> <333 <33 C++ 'd Ak. Md. co. lovin' havin' doin' goin' nothin' somethin' ol' 'bout 'cuz 'Cuz
'' ' D.C.
"""


def _specials() -> dict[str, tuple[str, ...]]:
    """Pieces that the language cuts by their meaning, or not at all: contractions, abbreviations, times of the day."""
    asking = ["who", "what", "when", "where", "why", "how", "there"]
    pairs = {("i", "m"), ("let", "'s")}
    everybody = [*["i", "you", "he", "she", "it", "we", "they", "that", "this", "these", "those"], *asking]
    pairs |= {(first, second) for first in everybody for second in ("ll", "d")}
    perfect = [*["i", "you", "we", "they", "these", "those", "could", "might", "must", "should", "would"], *asking]
    pairs |= {(first, "ve") for first in perfect}
    pairs |= {(first, "re") for first in [*["you", "we", "they", "these", "those"], *asking]}
    pairs |= {(first, "s") for first in [*["he", "she", "it", "that", "this"], *asking]}
    verbs = "ca could do does did had may might must need ought sha should wo would ai are is was were have has dare"
    found: dict[str, tuple[str, ...]] = {}

    def add(*parts: str) -> None:
        for cased in (parts, (parts[0].title(), *parts[1:])):
            if "".join(cased).lower() not in _NOT_CONTRACTED:
                found["".join(cased)] = cased

    for first, second in pairs:
        for mark in ("'", "’") if second.startswith("'") else ("", "'", "’"):
            add(first, mark + second.lstrip("'"))
            if second in ("ll", "d"):
                add(first, mark + second, ("’" if mark == "’" else mark) + "ve")
    for verb in verbs.split():
        for end in ("nt", "n't", "n’t"):
            add(verb, end)
    for parts in (("can", "not"), ("gon", "na"), ("got", "ta"), ("y", "all"), ("y'", "all"), ("y’", "all")):
        add(*parts)
    for hour in range(1, 13):
        for half in ("am", "a.m.", "pm", "p.m."):
            found[f"{hour}{half}"] = (str(hour), half)
    return found | {whole: (whole,) for whole in _WHOLE_LIST.split()} | {f"{c}.": (f"{c}.",) for c in _LETTERS}


_SPECIAL = _specials()
_cache: dict[str, tuple[str, ...]] = {}


def split_words(text: str) -> list[str]:
    """The words of a text, with punctuation marks as words of their own."""
    words: list[str] = []
    for piece in text.split():
        found = _cache.get(piece)
        if found is None:
            found = _remember(piece)
        words += found
    return words


def is_punctuation(word: str) -> bool:
    """True if every character is punctuation, by its Unicode category."""
    return all(unicodedata.category(character)[0] == "P" for character in word)


def _remember(piece: str) -> tuple[str, ...]:
    found = _cut(piece)
    if len(piece) <= _KEPT_PIECE:
        if len(_cache) >= _CACHED:
            _cache.clear()
        _cache[piece] = found
    return found


def _cut(piece: str) -> tuple[str, ...]:
    """The words of a piece without white space."""
    if piece in _SPECIAL:
        return _SPECIAL[piece]
    if piece.isalpha():
        return (piece,)
    if len(piece) > _LONG_PIECE:
        return tuple(_LONG_PARTS.findall(piece))
    head: list[str] = []
    tail: list[str] = []
    while piece and piece not in _SPECIAL:
        before = _prefix(piece)
        rest = piece[before:]
        if rest in _SPECIAL:
            head.append(piece[:before])
            piece = rest
            break
        after = _suffix(rest) if rest else 0
        if not before and not after:
            break
        if before:
            head.append(piece[:before])
        if after:
            tail.append(rest[-after:])
            rest = rest[:-after]
        piece = rest
    middle = _SPECIAL.get(piece) or _inside(piece)
    return (*head, *middle, *reversed(tail))


def _prefix(piece: str) -> int:
    """Characters of the mark at the beginning."""
    if piece[0].isalnum() and "$" not in piece:
        return 0
    found = _PREFIX.match(piece)
    return found.end() if found else 0


def _suffix(piece: str) -> int:
    """Characters of the mark, the unit or the genitive at the end."""
    last, before = piece[-1], piece[-2:-1]
    if last in _SINGLE:
        return 2 if piece.endswith("……") else 1
    if last == ".":
        if before == ".":
            return len(piece) - len(piece.rstrip("."))
        small = before.isalpha() and not before.isupper()
        return int(small or before in _STOPPED or (len(piece) > 2 and piece[-3].isupper() and before.isupper()))
    if last in "sS" and before in "'’" and before:
        return 2
    if last == "+" and before.isdigit():
        return 1
    if any(map(str.isdigit, piece)):
        found = _UNIT.search(piece)
        return found.end() - found.start() if found else 0
    return 0


def _inside(piece: str) -> tuple[str, ...]:
    """A piece cut at hyphens, slashes and the like; an address of a page or of mail stays whole."""
    if not piece or piece.isalnum() or ("." in piece and _LINK.fullmatch(piece)):
        return (piece,) if piece else ()
    parts: list[str] = []
    start = 0
    for match in _INSIDE.finditer(piece):
        if match.start() == 0:
            continue
        if match.start() > start:
            parts.append(piece[start : match.start()])
        parts.append(match.group())
        start = match.end()
    return (*parts, piece[start:]) if start < len(piece) else tuple(parts)
