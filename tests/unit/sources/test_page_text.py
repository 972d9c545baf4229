"""The text of pages: what a reader sees, once, and in the shape that refiners know."""

from __future__ import annotations

import pytest

from spark_prox.sources.page_text import page_text


def text(body: str) -> str:
    return page_text(f"<!doctype html><html><body>{body}</body></html>".encode(), "utf-8")


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ("<figure><table><tr><td>2001</td><td>3.4 m</td></tr></table></figure>", "2001 3.4 m"),
        ("<figure><pre>print(1)</pre><figcaption>Listing 1</figcaption></figure>", "print(1)\nListing 1"),
        ("<figure><img alt=alternative><figcaption>The bridge</figcaption></figure>", "The bridge"),
        ("<p>a<svg><text>drawn</text></svg><video>old browser</video><object>old</object></p>", "a"),
    ],
)
def test_a_figure_gives_its_text_and_an_image_none(body: str, lines: str) -> None:
    assert text(body) == lines


@pytest.mark.parametrize(
    "hidden",
    [
        "<p hidden>secret</p>",
        "<div hidden=hidden><p>secret</p></div>",
        "<p style='DISPLAY : none'>secret</p>",
        "<p style='display:block; display:none!important; display:inline'>secret</p>",
        "<p style='color:red;visibility:hidden'>secret</p>",
        "<dialog>secret</dialog>",
        "<template><p>secret</p></template>",
        "<div style='position:absolute; left:-9999px'><a href=x>secret</a></div>",
        "<canvas>secret</canvas>",
        "<noembed>secret</noembed>",
    ],
)
def test_a_hidden_element_has_no_text(hidden: str) -> None:
    assert text(f"<p>before</p>{hidden}<p>after</p>") == "before\nafter"


@pytest.mark.parametrize(
    "body",
    [
        "<p style='display:none;display:block'>shown</p>",
        "<p hidden=until-found>shown</p>",
        "<dialog open>shown</dialog>",
        "<p style='background:url(none.png)'>shown</p>",
        "<p aria-hidden=true>shown</p>",
        "<p style='position:absolute; left:-20px'>shown</p>",
        "<p style='margin-left:-9999px; position:relative; left:-9999px'>shown</p>",
    ],
)
def test_what_only_looks_hidden_stays(body: str) -> None:
    assert text(body) == "shown"


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ("<details><summary>Question?</summary>An answer.</details>", "Question?\nAn answer."),
        ("<h3><button>Question?</button></h3>An <button>x</button>answer.", "Question?\nAn answer."),
        ("<h2><span><i></i> <button>Question?</button></span></h2>", "Question?"),
        ("<h3>A lamp <button>Add to cart</button></h3>", "A lamp"),
        ("<fieldset><legend>Age</legend>one</fieldset>two<menu>three</menu>four", "Age\none\ntwo\nthree\nfour"),
        ("<span style='display:block'>one</span><b style='color:red; display: flex'>two</b>", "one\ntwo"),
        ("<span style='display:inline-block'>one</span><span>two</span>", "onetwo"),
        ("<xmp>  one\ntwo</xmp>three", "  one\ntwo\nthree"),
        ("<listing>  one<listing>\n  two</listing></listing>", "  one\n  two"),
        ("a<summary><style>p {}</style><!-- c --><b>one</b> <img></summary>two", "a\none\ntwo"),
        ("a<menu></menu>b", "ab"),
        ("<pre>  a<span style='display:block'>b</span>c</pre>", "  a\nb\nc"),
    ],
)
def test_words_that_a_browser_shows_on_lines_of_their_own_are_not_joined(body: str, lines: str) -> None:
    assert text(body) == lines


@pytest.mark.parametrize("tag", ["summary", "ruby><rt", "menu", "pre", "xmp", "span style='display:block'"])
def test_elements_deep_inside_of_each_other_keep_all_of_their_text(tag: str) -> None:
    assert page_text(f"<{tag}>a".encode() * 5_000, None).count("a") == 5_000


@pytest.mark.parametrize(
    ("ruby", "written"),
    [
        ("<ruby>東京<rp>(</rp><rt>とうきょう</rt><rp>)</rp></ruby>へ", "東京(とうきょう)へ"),
        ("<ruby>漢<rt>kan</rt>字<rt> </rt></ruby>", "漢(kan)字"),
        ("<ruby>字<rt><b>ji</b></rt></ruby>", "字(ji)"),
    ],
)
def test_readings_do_not_run_into_the_words_that_they_are_of(ruby: str, written: str) -> None:
    assert text(f"<p>{ruby}</p>") == written


def test_a_page_that_its_script_would_show_is_not_hidden() -> None:
    assert page_text(b"<html style='visibility:hidden'><body style='display:none'><p>shown", None) == "shown"


ANNOTATED = (
    "<math alttext='x_1'><semantics><mrow><mi>x</mi></mrow>"
    "<annotation encoding='application/x-tex'>x_1</annotation></semantics></math>"
)


@pytest.mark.parametrize(
    ("formula", "written"),
    [
        (ANNOTATED, "x_1"),
        ("<math alttext='E=mc^2'><mi>E</mi></math>", "E=mc^2"),
        ("<math><mi>E</mi><mo>=</mo><mi>m</mi></math>", "E=m"),
        (
            f"<span class=katex><span class=katex-mathml>{ANNOTATED}</span>"
            "<span class=katex-html aria-hidden=true><span>x</span><span>1</span></span></span>",
            "x_1",
        ),
        ("<script type='math/tex'>x^2</script>", "x^2"),
        ("<script type='math/tex; mode=display'>x\n  ^2</script>", "x ^2"),
        (
            "<span class=MathJax_Preview>x2</span><span class=MathJax><span>x2</span></span>"
            "<script type='math/tex'>x^2</script>",
            "x^2",
        ),
        (f"<mjx-container><mjx-math>glyphs</mjx-math><mjx-assistive-mml>{ANNOTATED}</mjx-assistive-mml>", "x_1"),
        (
            "<span class=mwe-math-element><span class=mwe-math-mathml-inline style='display: none'>"
            "<math alttext='{\\displaystyle x_1}'><mi>x</mi></math></span><img alt='{\\displaystyle x_1}'></span>",
            "x_1",
        ),
        ("<img class=latex alt='x_1'>", "x_1"),
    ],
)
def test_a_formula_is_written_once(formula: str, written: str) -> None:
    assert text(f"<p>Let {formula}") == f"Let {written}"
    assert text("<p>Let <span class=MathJax>y</span> be") == "Let y be"


def test_preformatted_lines_keep_their_white_space_and_others_are_folded() -> None:
    code = "<pre><code>def f(x):\n    if x:\n\treturn  1  \n\n</code></pre>"
    assert text(f"<p>Use   this:\n  now</p>{code}") == "Use this: now\ndef f(x):\n    if x:\n\treturn  1"
    assert text("<ul><li><pre>  <b>a</b> =\n    1</pre></ul>") == "  a =\n    1"
    assert text("<p>a\ufdd0b</p>") == "ab"


XHTML = "<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'><head><title/><script src='a.js'/></head>"


@pytest.mark.parametrize("empty", ["<textarea/>", "<iframe src='x' />", '<script src="a>b"/>', "<style/>", "<div/>"])
def test_an_empty_element_of_xhtml_does_not_swallow_what_follows(empty: str) -> None:
    page = f"{XHTML}<body><p>one<br/>two</p>{empty}<p><![CDATA[a < b]]></p></body></html>"
    assert page_text(page.encode(), None) == "one\ntwo\na < b"


def test_a_script_of_xhtml_is_left_as_it_is() -> None:
    page = XHTML + "<body><script>//<![CDATA[\nif (a</b/>c) {}\n//]]></script><p>text</p></body></html>"
    assert page_text(page.encode(), None) == "text"
