"""Find what a reasoning model thought before it answered: `<think>…</think>` and its other spellings.

A thought is no part of a program, whatever calls stand in it. Thoughts may be nested. One that is never closed reaches
to the end: the model was cut off while it thought. A closing mark without an opening one closes a thought that began
with the text, because many chat templates write the opening mark into the prompt. Knows no program and no dialect.

Spellings: DeepSeek and Qwen (`<think>`), Kimi (`◁think▷`), Mistral (`[THINK]`), Cohere (`<|START_THINKING|>`),
OpenThoughts (`<|begin_of_thought|>`), Seed (`<seed:think>`), Gemma (`<|channel>thought`), gpt-oss
(`<|channel|>analysis<|message|>`).
"""

from __future__ import annotations

import re

__all__ = ["answer_of", "end_of_thought", "is_mark", "next_mark", "opens"]

_NAME = (
    r"(?:think(?:ing|s)?|thoughts?|thought[_ -]process|reason(?:ing)?(?:[_ -](?:process|content))?|reflection|analysis"
    r"|scratchpad|(?:(?:inner|internal)[_ -])?(?:monologue|thoughts?)|chain[_ -]of[_ -]thought|cot|rationale"
    r"|deliberation)"
)
_LEFT, _RIGHT, _BAR = r"[<\uff1c\u25c1\u27e8\[]", r"[>\uff1e\u25b7\u27e9\]]", r"[ \t]{0,2}[|\uff5c]?[ \t]{0,2}"
_SPACE = r"(?:[A-Za-z0-9]{1,16}:)?"  # a name space, as in <seed:think>
_ATTRIBUTES = r"(?:\s{1,4}[\w-]{1,32}\s?=\s?[^<>\n]{0,80})?"
_MARK = re.compile(
    rf"""(?P<close>
        {_LEFT}{_BAR}/{_BAR}{_SPACE}(?:end[_ -])?(?:of[_ -])?{_NAME}{_BAR}{_RIGHT}
      | {_LEFT}{_BAR}{_SPACE}end[_ -](?:of[_ -])?{_NAME}{_BAR}{_RIGHT}
      | <channel\|> | <unused95>
      | <\|channel\|>\s{{0,4}}final[^<\n]{{0,80}}<\|message\|>
      )
    | (?P<channel><\|channel\|>\s{{0,4}}(?:analysis|commentary)[^<\n]{{0,80}}<\|message\|>)
    | (?P<fence>```[ \t]{{0,4}}{_NAME}[ \t]{{0,4}}(?=\n))
    | (?P<open>
        {_LEFT}{_BAR}{_SPACE}(?:(?:begin|start)[_ -](?:of[_ -])?)?{_NAME}{_ATTRIBUTES}{_BAR}{_RIGHT}
      | <\|channel>\s{{0,4}}thought | <unused94>
      )""",
    re.VERBOSE | re.IGNORECASE,
)
_PARTS = ("<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|return|>", "<|call|>", "<|channel>", "<channel|>")
_END_OF = {
    "channel": re.compile(r"<\|(?:end|return|call|start)\|>|(?=<\|channel\|>)"),
    "fence": re.compile(r"```"),
}


def next_mark(text: str, position: int = 0) -> re.Match[str] | None:
    """The first mark at or after a position; None without one."""
    return _MARK.search(text, position)


def opens(mark: re.Match[str]) -> bool:
    """True if a thought begins at a mark; else one ends there."""
    return mark.lastgroup != "close"


def end_of_thought(text: str, mark: re.Match[str]) -> int:
    """One past the end of the thought that a mark opens; -1 where it is never closed."""
    if (closing := _END_OF.get(mark.lastgroup or "")) is not None:
        end = closing.search(text, mark.end())
        return -1 if end is None else end.end()
    depth = 1
    for inner in _MARK.finditer(text, mark.end()):
        if inner.lastgroup == "open":
            depth += 1
        elif inner.lastgroup == "close":
            depth -= 1
            if not depth:
                return inner.end()
    return -1


def is_mark(token: str) -> bool:
    """True if a token is a mark of a thought, or a part of one."""
    return token.lower() in _PARTS or _MARK.fullmatch(token) is not None


def answer_of(text: str) -> str:
    """The text without its thoughts; for answers in prose, where a mark means a thought wherever it stands."""
    pieces: list[str] = []
    position = 0
    while (mark := next_mark(text, position)) is not None:
        if opens(mark):
            pieces.append(text[position : mark.start()])
            position = end_of_thought(text, mark)
            if position < 0:
                return "".join(pieces)
        else:
            pieces, position = [], mark.end()
    return "".join([*pieces, text[position:]])
