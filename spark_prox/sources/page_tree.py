"""Changes the tree of a page so that its visible text is what a reader sees, once each.

- Elements that are hidden by attribute or by their own style go; style sheets and scripts are not read.
- A formula is its TeX where the page has it, else its characters: MathML, KaTeX, MathJax and images of formulas write
  the same formula up to three times.
- White space inside preformatted elements is replaced by characters that extraction leaves alone.
- Blocks that extraction takes for parts of a line get lines of their own; readings stand in brackets; a heading that is
  a button stays a heading.

Knows resiliparse's tree; nothing of bytes or lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resiliparse.parse.html import HTMLTree

__all__ = ["KEPT_BLANK", "KEPT_LINE", "KEPT_TAB", "NO_TEXT_ELEMENTS", "keep_lists", "prepare_tree"]

KEPT_BLANK, KEPT_TAB, KEPT_LINE = "\ufdd0", "\ufdd1", "\ufdd3"
"""Noncharacters: no text of the open web means anything by them."""

NO_TEXT_ELEMENTS = (
    *("img", "svg", "video", "audio", "embed", "object", "iframe", "area", "rp", "datalist"),
    *("canvas", "noembed", "noframes"),
)
"""What stands in them is for readers without images, and was never part of the text."""

PREFORMATTED = "pre"
SEEN = "data-spark-prox-seen"
OLD_PREFORMATTED = "listing, xmp"
HIDDEN = "[hidden], dialog, [style]"
INLINE = frozenset(("a", "b", "cite", "code", "em", "font", "i", "q", "small", "span", "strong", "time", "u"))
UNKNOWN_BLOCKS = "summary, legend, menu, search, dialog, dir"
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6", "summary", "dt")
HEADING_BUTTONS = ", ".join(f"{name} button" for name in HEADINGS)
HEADING_DEPTH = 3
READING = "rt"
UNSEEN = frozenset((*NO_TEXT_ELEMENTS, "script", "style", "template", "noscript", "rp"))
EDGE_STEPS = 10
MOST_RENAMED = 1_000  # of a page: one inside another takes a time that grows with its depth
FORMULAS = (
    "math, script[type^='math/' i], .katex-html, .mwe-math-element, .MathJax, .MathJax_Display, .MathJax_Preview, "
    ".MathJax_SVG, .MathJax_SVG_Display, .MathJax_CHTML, .MJXc-display, mjx-container, img.latex, img.tex, "
    "img.mwe-math-fallback-image-inline, img.mwe-math-fallback-image-display"
)
HIDING = re.compile(r"none|hidden|collapse|absolute|fixed", re.IGNORECASE)
BLOCK_STYLE = re.compile(r"display\s*:\s*(?:block|flex|grid|table|list-item|flow-root)\s*(?:!|;|$)", re.IGNORECASE)
FAR_AWAY = re.compile(r"-\d{4,}")  # of a screen's edge: how links to jump to, and hidden advertisements, are hidden
WHITE_SPACE = re.compile(r"\s+")
DISPLAY_STYLE = re.compile(r"^\{\\(?:displaystyle|textstyle)\s+(.*?)\s*\}$", re.DOTALL)


def prepare_tree(tree: HTMLTree) -> None:
    """Change the tree in place."""
    document: Any = tree.document
    if document is None:
        return
    _write_formulas_once(document)
    _remove_hidden(document)
    _separate(document)
    _protect_preformatted(document)


def keep_lists(tree: HTMLTree) -> None:
    """Make numbered lists of bulleted ones whose text is mostly outside of links.

    To resiliparse's main content many a bulleted list is navigation, whatever it holds. The text of both is alike.
    """
    document: Any = tree.document
    for found in () if document is None else document.query_selector_all("ul").values():
        links = sum(len(link.text_content or "") for link in found.query_selector_all("a").values())
        if found.parent_node is None or 2 * links >= len(found.text_content or ""):
            continue
        _rename(document, found, "ol")


def _write_formulas_once(document: Any) -> None:
    found = document.query_selector_all(FORMULAS).values()
    if not found:
        return
    has_scripts = any(node.tag == "script" for node in found)
    for node in found:
        names = (node.get_attribute("class") or "").split()
        if node.parent_node is None or not document.contains(node):
            continue  # inside a formula that was replaced already
        if node.tag == "mjx-container":
            _replace(document, node, _tex_inside(node) or _assistive_text(node))
        elif node.tag in ("span", "div"):
            if "mwe-math-element" in names:
                _replace(document, node, _tex_inside(node))
            elif "katex-html" in names:
                if _has_sibling(node, "katex-mathml"):
                    node.remove()
            elif has_scripts or "MathJax_Preview" in names:
                node.remove()  # what MathJax made of the script beside it
        elif node.tag == "math":
            _replace(document, node, _tex_inside(node))
        elif node.tag == "script":
            source = (node.text_content or "").strip()
            is_markup = "mml" in (node.get_attribute("type") or "").lower()
            _replace(document, node, re.sub("<[^>]*>", "", source) if is_markup else source)
        elif node.tag == "img":
            _replace(document, node, node.get_attribute("alt") or "")


def _tex_inside(node: Any) -> str | None:
    """The TeX of a formula's element, None if only its characters are there."""
    for inner in node.query_selector_all("annotation").values():
        if "tex" in (inner.get_attribute("encoding") or "").lower():
            return inner.text_content or ""
    math = node if node.tag == "math" else node.query_selector("math")
    alternative = math.get_attribute("alttext") if math is not None else None
    if alternative:
        return str(alternative)
    if math is not None:
        for inner in math.query_selector_all("annotation, annotation-xml").values():
            inner.remove()
        return None if math is node else str(math.text_content or "")
    image = node.query_selector("img")
    return (image.get_attribute("alt") or None) if image is not None else None


def _assistive_text(node: Any) -> str | None:
    inner = node.query_selector("mjx-assistive-mml")
    return str(inner.text_content or "") if inner is not None else None


def _has_sibling(node: Any, name: str) -> bool:
    parent = node.parent_element
    return parent is not None and parent.query_selector(f".{name}") is not None


def _replace(document: Any, node: Any, text: str | None) -> None:
    if text is None:
        return
    text = WHITE_SPACE.sub(" ", text).strip()
    shortened = DISPLAY_STYLE.match(text)
    node.replace_with(document.create_text_node(shortened[1] if shortened else text))


def _remove_hidden(document: Any) -> None:
    for node in document.query_selector_all(HIDDEN).values():
        # Scripts show the whole page when it is ready: what hides `html` or `body` hides nothing.
        if node.tag not in ("html", "body") and _is_hidden(node):
            node.remove()


def _is_hidden(node: Any) -> bool:
    hidden = node.get_attribute("hidden") if node.has_attribute("hidden") else None
    if hidden is not None and hidden.strip().lower() != "until-found":
        return True
    if node.tag == "dialog" and not node.has_attribute("open"):
        return True
    written = node.get_attribute("style")
    if written is None or HIDING.search(written) is None:
        return False
    style = _declarations(written)
    if style.get("display") == "none" or style.get("visibility") in ("hidden", "collapse"):
        return True
    edges = (style.get(edge, "") for edge in ("left", "top", "right", "bottom"))
    return style.get("position") in ("absolute", "fixed") and any(FAR_AWAY.match(edge) for edge in edges)


def _declarations(style: str) -> dict[str, str]:
    """Value by property of a style attribute: the last one counts, an important one before others."""
    values: dict[str, str] = {}
    important: dict[str, str] = {}
    for declaration in re.sub(r"/\*.*?\*/", "", style, flags=re.DOTALL).split(";"):
        name, _, value = declaration.partition(":")
        value, mark, _ = value.strip().lower().partition("!")
        (important if mark else values)[name.strip().lower()] = value.strip()
    return {**values, **important}


def _separate(document: Any) -> None:
    """Keep words apart that a browser shows apart."""
    for button in islice(document.query_selector_all(HEADING_BUTTONS).values(), MOST_RENAMED):
        if _is_the_heading(button):
            _rename(document, button, "span")
    for old in islice(document.query_selector_all(OLD_PREFORMATTED).values(), MOST_RENAMED):
        _rename(document, old, "pre")
    for reading in document.query_selector_all(READING).values():
        if _edge_text(reading, "first_child", "next") is not None:
            _enclose(reading, "(", ")")
    for block in document.query_selector_all(UNKNOWN_BLOCKS).values():
        _enclose(block, KEPT_LINE, KEPT_LINE)
    for block in document.query_selector_all("[style*='display' i]").values():
        if block.tag in INLINE and BLOCK_STYLE.search(block.get_attribute("style") or ""):
            _enclose(block, KEPT_LINE, KEPT_LINE)


def _enclose(element: Any, before: str, after: str) -> None:
    """Put characters before and behind an element's text."""
    first = _edge_text(element, "first_child", "next")
    if first is not None:
        first.node_value = before + (first.node_value or "")
    last = _edge_text(element, "last_child", "prev")
    if last is not None:
        last.node_value = (last.node_value or "") + after


def _edge_text(element: Any, child: str, sibling: str) -> Any | None:
    """The first or last text below an element that is not blank; None where it is not soon found."""
    node = getattr(element, child)
    for _ in range(EDGE_STEPS):
        if node is None:
            return None
        if node.tag == "#text" and (node.node_value or "").strip():
            return node
        inner = None if node.tag.startswith("#") or node.tag in UNSEEN else getattr(node, child)
        node = getattr(node, sibling) if inner is None else inner
    return None


def _is_the_heading(button: Any) -> bool:
    """True for a button that is all of a heading, as on pages that open by a click, and not a button in one."""
    node = button
    for _ in range(HEADING_DEPTH):
        if not all(_is_edge(node, side) for side in ("prev", "next")):
            return False
        node = node.parent_element
        if node is None or node.tag in HEADINGS:
            return node is not None
    return False


def _is_edge(node: Any, sibling: str) -> bool:
    """True if soon no more siblings follow to one side, and none of them has text."""
    for _ in range(EDGE_STEPS):
        node = getattr(node, sibling)
        if node is None:
            return True
        if not _is_blank(node):
            return False
    return False


def _is_blank(node: Any) -> bool:
    if node.tag == "#text":
        return not (node.node_value or "").strip()
    return node.tag.startswith("#") or node.tag in UNSEEN or _edge_text(node, "first_child", "next") is None


def _rename(document: Any, node: Any, tag: str) -> None:
    """Put an element of another name in the place of one, without its attributes."""
    renamed = document.create_element(tag)
    for child in list(node.child_nodes.values()):
        renamed.append_child(child)
    node.replace_with(renamed)


def _protect_preformatted(document: Any) -> None:
    for element in document.query_selector_all(PREFORMATTED).values():
        if element.has_attribute(SEEN):
            continue
        for node in _texts(element):
            value = node.node_value or ""
            if " " in value or "\t" in value:
                node.node_value = value.replace(" ", KEPT_BLANK).replace("\t", KEPT_TAB)


def _texts(element: Any) -> Iterator[Any]:
    """The text nodes below an element, without recursion. Elements of its kind inside are marked as seen."""
    waiting = [element]
    while waiting:
        node = waiting.pop()
        if node.tag == "#text":
            yield node
        else:
            if node.tag == element.tag:
                node.set_attribute(SEEN, "")
            waiting.extend(node.child_nodes.values())
