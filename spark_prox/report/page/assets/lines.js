"use strict";
// Elements out of strangers' text: text nodes alone, control characters as escapes, a text's pieces as <del> and <ins>.
const Lines = (() => {
  const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]/u;
  const PARTS = new RegExp(`(${HIDDEN.source})`, "u");

  function el(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else made.setAttribute(key, value === true ? "" : String(value));
    }
    made.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return made;
  }

  function svg(name, attributes, ...children) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, String(value));
    made.append(...children);
    return made;
  }

  function escaped(character) {
    return `\\u${character.codePointAt(0).toString(16).padStart(4, "0")}`;
  }

  // A text, or [its beginning, how many characters more], as plain text.
  function plain(text) {
    return Array.isArray(text) ? text[0] : text;
  }

  // The same as nodes.
  function nodes(text) {
    const own = plain(text);
    const made = [];
    if (HIDDEN.test(own)) {
      own.split(PARTS).forEach((part, place) => {
        if (part) made.push(place % 2 ? el("span", { class: "ctl", title: "control character" }, escaped(part)) : part);
      });
    } else if (own) made.push(own);
    if (Array.isArray(text)) {
      made.push(el("span", { class: "more" }, ` … ${text[1].toLocaleString("en")} characters more`));
    }
    return made;
  }

  // Pieces [-1 | 0 | 1, text] of a changed line.
  function pieces(parts) {
    return parts.map(([kind, text]) => {
      if (kind < 0) return el("del", {}, nodes(text));
      return kind > 0 ? el("ins", {}, nodes(text)) : el("span", {}, nodes(text));
    });
  }

  return { el, svg, nodes, pieces, plain };
})();
