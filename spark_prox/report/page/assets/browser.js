"use strict";
// The browser of sampled documents: filters, a list, one document with its thresholds, lines and programs.
const Browser = (() => {
  const { el, svg, nodes, pieces, plain } = Lines;
  const number = (value) => value.toLocaleString("en");
  const percent = (value) => `${(100 * value).toFixed(1)}%`;
  const all = JSON.parse(document.getElementById("document-data").textContent);
  const settings = JSON.parse(document.getElementById("settings").textContent);
  const stored = settings.policy;
  let policy = { ...stored };
  let shown = all;
  let current = null;
  let view = null;
  let unified = window.matchMedia("(max-width: 860px)").matches;
  const say = (text) => { document.getElementById("status").textContent = text; };

  all.forEach(prepare);
  const hasMargins = all.some((one) => one.margins.length && one.facts.state === "chunks");
  const hasDrops = all.some((one) => one.facts.drop && one.doc_margin !== null);

  function flags(ranges, count) {
    const found = new Array(count).fill(false);
    for (const [first, last] of ranges) found.fill(true, first, last + 1);
    return found;
  }

  function prepare(one) {
    const count = one.lines.length;
    one.storedRemoved = flags(one.removed, count);
    one.otherRemoved = one.other ? flags(one.other.removed, count) : null;
    if (!one.margins.length) one.margins = new Array(count).fill(null), one.noMargins = true;
    one.share = one.chars[0] ? Math.max(0, 1 - one.chars[1] / one.chars[0]) : 0;
    one.differs = one.other !== undefined && (one.other.outcome !== one.outcome
      || one.otherRemoved.some((flag, line) => flag !== one.storedRemoved[line]));
    one.title = one.url || one.id;
  }

  // The state under the present thresholds; as stored where nothing was moved or nothing can be decided again.
  function decided(one) {
    const asStored = () => ({ outcome: one.outcome, reason: one.reason, removed: one.storedRemoved, unsure: unsureOf(one), wordsAfter: one.words[1] });
    if (one.facts.state === "fixed" || !isMoved()) return asStored();
    return Decide.decide(one, policy);
  }

  function unsureOf(one) {
    if (one.facts.state !== "chunks") return one.lines.map(() => false);
    return one.lines.map((_, line) => one.facts.named[line] >= 0 && !one.storedRemoved[line]);
  }

  const MOVABLE = ["min_remove_margin", "min_remove_margin_short", "min_drop_margin"];
  function isMoved() { return MOVABLE.some((name) => policy[name] !== stored[name]); }

  // ---- filters and list
  const filter = { text: "", outcome: "", reason: "", host: "", least: 0, most: 100, differs: false, moved: false };
  let parts = null;

  function options(values, name) {
    const counted = new Map();
    for (const value of values) counted.set(value, (counted.get(value) || 0) + 1);
    const sorted = [...counted].sort((one, other) => other[1] - one[1] || (one[0] < other[0] ? -1 : 1)).slice(0, 300);
    return [el("option", { value: "" }, name), ...sorted.filter(([value]) => value).map(([value, count]) => el("option", { value }, `${value} (${count})`))];
  }

  function matches(one) {
    const share = 100 * one.share;
    if (filter.outcome && one.outcome !== filter.outcome) return false;
    if (filter.reason && one.reason !== filter.reason) return false;
    if (filter.host && one.host !== filter.host) return false;
    if (share < filter.least || share > filter.most) return false;
    if (filter.differs && !one.differs) return false;
    if (filter.moved && !changesDecision(one)) return false;
    if (!filter.text) return true;
    if (!one.haystack) one.haystack = `${one.id}\n${one.title}\n${one.lines.map(plain).join("\n")}`.toLowerCase();
    return one.haystack.includes(filter.text);
  }

  function changesDecision(one) {
    const now = decided(one);
    return now.outcome !== one.outcome || now.removed.some((flag, line) => flag !== one.storedRemoved[line]);
  }

  function sidebar() {
    const change = (name, read) => (event) => { filter[name] = read(event.target); refreshList(); };
    const control = (name, label, made, extra) => el("label", { class: extra || "" }, label, made);
    const value = (target) => target.value;
    const search = el("input", { type: "search", id: "search", placeholder: "id, address or text", oninput: change("text", (t) => t.value.trim().toLowerCase()) });
    const least = el("input", { type: "number", min: 0, max: 100, step: 5, value: 0, oninput: change("least", (t) => Number(t.value) || 0) });
    const most = el("input", { type: "number", min: 0, max: 100, step: 5, value: 100, oninput: change("most", (t) => (t.value === "" ? 100 : Number(t.value))) });
    const check = (name, label) => el("label", { class: "check whole" }, el("input", { type: "checkbox", id: `only-${name}`, onchange: change(name, (t) => t.checked) }), label);
    parts = {
      list: el("ul", { class: "list" }),
      count: el("p", { class: "count", role: "status" }),
    };
    return el("div", { class: "side" },
      el("div", { class: "filters", role: "search", "aria-label": "Filter documents" },
        control("text", "Search", search, "whole"),
        control("outcome", "Outcome", el("select", { onchange: change("outcome", value) }, options(all.map((one) => one.outcome), "any"))),
        control("reason", "Reason", el("select", { onchange: change("reason", value) }, options(all.map((one) => one.reason), "any"))),
        control("host", "Host", el("select", { onchange: change("host", value) }, options(all.map((one) => one.host), "any")), "whole"),
        control("least", "Removed from %", least), control("most", "to %", most),
        settings.against ? check("differs", "Decision differs from the other state") : null,
        hasMargins ? check("moved", "Decision changes with the thresholds") : null),
      parts.count, parts.list);
  }

  function refreshList() {
    shown = all.filter(matches);
    const leftOut = Number(root.dataset.leftOut);
    parts.count.textContent = `${number(shown.length)} of ${number(all.length)} documents`
      + (leftOut ? `; ${number(leftOut)} more were too large for the page` : "");
    parts.list.replaceChildren(...shown.map((one) => el("li", {}, entry(one))));
  }

  function entry(one) {
    const kept = 100 * (1 - one.share);
    const bar = svg("svg", { class: "mini", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "removed", width: 100, height: 6 }), svg("rect", { class: "after", width: one.outcome === "DROPPED" ? 0 : kept, height: 6 }));
    return el("a", { href: `#doc=${encodeURIComponent(one.id)}`, "aria-current": one === current ? "true" : null },
      el("span", { class: "title" }, nodes(one.title)),
      el("span", { class: "row" }, el("span", { class: `badge o-${one.outcome}` }, one.outcome), bar,
        el("span", {}, one.outcome === "DROPPED" ? "dropped" : `−${Math.round(100 * one.share)}%`)));
  }

  // ---- thresholds
  let panel = null;

  function thresholds() {
    const found = [];
    const output = {};
    const slider = (name, label, most) => {
      output[name] = el("output", {});
      const input = el("input", { type: "range", min: 0, max: most, step: 0.05, id: `slide-${name}`, "aria-label": label,
        oninput: (event) => { policy[name] = Number(event.target.value); thresholdsMoved(); } });
      found.push([name, input]);
      return el("label", {}, el("span", { class: "line" }, label, output[name]), input);
    };
    const most = Math.max(8, ...MOVABLE.map((name) => Math.ceil(stored[name] || 0)));
    const believe = el("input", { type: "checkbox", onchange: (event) => {
      policy.min_remove_margin = event.target.checked ? null : (stored.min_remove_margin ?? 0);
      thresholdsMoved();
    } });
    const alike = el("input", { type: "checkbox", onchange: (event) => {
      policy.min_remove_margin_short = event.target.checked ? null : (stored.min_remove_margin_short ?? policy.min_remove_margin ?? 0);
      thresholdsMoved();
    } });
    panel = { found, output, believe, alike, effect: el("p", { class: "effect", role: "status" }), corpus: el("p", { class: "soft" }) };
    return el("section", { class: "policy", "aria-label": "Thresholds" },
      el("div", { class: "sliders" },
        hasMargins ? slider("min_remove_margin", "Least margin to remove a line", most) : null,
        hasMargins ? slider("min_remove_margin_short", `… of fewer than ${stored.short_line_words} words`, most) : null,
        hasDrops ? slider("min_drop_margin", "Least margin to drop a document", most) : null,
        el("div", { class: "tools" },
          hasMargins ? el("label", { class: "check" }, alike, "short lines alike") : null,
          hasMargins ? el("label", { class: "check" }, believe, "believe every call") : null,
          el("button", { type: "button", onclick: reset }, "as stored"))),
      panel.effect, panel.corpus);
  }

  function reset() { policy = { ...stored }; thresholdsMoved(); say("The stored thresholds."); }

  function setThresholds(margin, short) {
    policy.min_remove_margin = margin;
    policy.min_remove_margin_short = short;
    thresholdsMoved();
  }

  function nudge(step) {
    const from = policy.min_remove_margin ?? 0;
    policy.min_remove_margin = Math.max(0, Math.round((from + step) * 100) / 100);
    thresholdsMoved();
    say(`Least margin ${policy.min_remove_margin}`);
  }

  function thresholdsMoved() {
    for (const [name, input] of panel.found) {
      const off = policy[name] === null;
      input.disabled = off;
      if (!off) input.value = policy[name];
      panel.output[name].textContent = off ? (name === "min_remove_margin_short" ? "alike" : "off") : policy[name].toFixed(2);
    }
    panel.believe.checked = policy.min_remove_margin === null;
    panel.alike.checked = policy.min_remove_margin_short === null;
    if (filter.moved) refreshList();
    if (view) view.update();
    let words = 0; let now = 0; let was = 0; let changed = 0;
    for (const one of all) {
      const after = decided(one);
      words += one.words[0]; was += one.words[1]; now += after.wordsAfter;
      if (after.outcome !== one.outcome || after.removed.some((flag, line) => flag !== one.storedRemoved[line])) changed += 1;
    }
    panel.corpus.textContent = words
      ? `All ${number(all.length)} documents of this page: ${percent(now / words)} of the words kept`
        + (isMoved() ? `, ${percent(was / words)} as stored; ${number(changed)} documents change.` : ".")
      : "";
  }

  // ---- one document
  function show(id) {
    const one = all.find((each) => each.id === id);
    if (!one) { place.replaceChildren(el("p", { class: "card empty" }, "This page has no such document.")); view = null; current = null; return; }
    current = one;
    view = documentView(one);
    place.replaceChildren(...view.elements);
    root.classList.add("reading");
    parts.list.querySelectorAll("a").forEach((link) => {
      const mine = link.getAttribute("href") === `#doc=${encodeURIComponent(one.id)}`;
      if (mine) { link.setAttribute("aria-current", "true"); link.scrollIntoView({ block: "nearest" }); } else link.removeAttribute("aria-current");
    });
    thresholdsMoved();
    say(`${one.title}: ${one.outcome}`);
  }

  function header(one) {
    const size = ([before, after], unit) => (before === null ? null : el("span", {}, el("b", {}, number(before)), " → ", el("b", {}, number(after ?? 0)), ` ${unit}`));
    const own = Object.entries(one.own);
    return el("section", { class: "card", "aria-label": "Document" },
      el("div", { class: "tools" }, el("button", { type: "button", class: "back", onclick: back }, "← list"),
        el("button", { type: "button", onclick: () => step(-1) }, "previous"), el("button", { type: "button", onclick: () => step(1) }, "next"),
        el("button", { type: "button", onclick: toggleUnified }, "side by side / one column"),
        el("a", { href: `#doc=${encodeURIComponent(one.id)}` }, "link")),
      el("h2", {}, nodes(one.title)),
      el("p", { class: "facts" }, el("span", { class: `badge o-${one.outcome}` }, one.outcome), el("code", {}, one.reason),
        one.other ? el("span", {}, `${settings.against}: `, el("span", { class: `badge o-${one.other.outcome}` }, one.other.outcome), " ", el("code", {}, one.other.reason)) : null,
        size(one.words, "words"), size(one.tokens, "tokens"),
        one.doc_margin !== null ? el("span", {}, "document margin ", el("b", {}, one.doc_margin.toFixed(2))) : null,
        one.doc_reason ? el("span", {}, "document level ", el("code", {}, one.doc_reason)) : null),
      one.reject ? el("p", { class: "note" }, `In quarantine: ${one.reject.code} (${one.reject.stage}) `, nodes(one.reject.detail)) : null,
      own.length || one.source ? el("details", {}, el("summary", {}, "Columns"), el("table", { class: "figures" }, el("tbody", {},
        [["doc_id", one.id], ["source", one.source], ...own].filter(([, text]) => text).map(([name, text]) => el("tr", {}, el("th", { scope: "row" }, nodes(name)), el("td", { class: "text" }, nodes(text))))))) : null);
  }

  function heat(margin) {
    const bounds = [-5, -2.5, -1, 0, 1, 2.5, 5];
    let place = 0;
    while (place < bounds.length && margin >= bounds[place]) place += 1;
    return `h${place}`;
  }

  function strip(one) {
    const count = one.lines.length;
    const margins = one.margins.map((margin, line) => svg("rect", { x: line, y: 0, width: 1.02, height: 22, class: margin === null ? "blank" : heat(margin) }));
    const cuts = one.lines.map((_, line) => svg("rect", { x: line, y: 25, width: 1.02, height: 9, class: "stay" }));
    const made = svg("svg", { class: "strip", viewBox: `0 0 ${Math.max(count, 1)} 34`, preserveAspectRatio: "none", role: "img",
      "aria-label": `Margins of ${count} lines above, removed lines below` }, ...(one.noMargins ? [] : margins), ...cuts);
    made.addEventListener("click", (event) => {
      const box = made.getBoundingClientRect();
      jump(Math.min(count - 1, Math.floor((event.clientX - box.left) / box.width * count)));
    });
    const scale = el("span", { class: "scale", "aria-hidden": "true" }, [0, 1, 2, 3, 4, 5, 6, 7].map((place) => el("i", { class: `h${place}` })));
    const legend = el("p", { class: "legend" }, one.noMargins ? "This document's programs have no margins." : ["remove ", scale, " keep: log p(keep) − log p(remove) of each line. "], "Below: lines that go and stay.");
    return { element: el("div", {}, made, legend), cuts };
  }

  function documentView(one) {
    const top = strip(one);
    const rows = one.lines.map((line, place) => row(one, line, place));
    const caption = one.noMargins ? null : el("th", { class: "m", scope: "col" }, "margin");
    const table = el("table", { class: `text-table ${unified ? "unified" : "split"}` },
      el("thead", {}, el("tr", {}, el("th", { class: "no", scope: "col" }, "line"), caption, el("th", { class: "mark", scope: "col" }, el("span", { class: "sr" }, "change")),
        el("th", { class: "before", scope: "col" }, "before"), el("th", { class: "no no2", scope: "col" }, "line"), el("th", { class: "after", scope: "col" }, "after"))),
      el("tbody", {}, rows.map((each) => each.element)));
    const hidden = one.hidden_lines ? el("p", { class: "soft" }, `${number(one.hidden_lines)} lines more are not on this page, so thresholds do not change this document.`) : null;
    const estimate = one.facts.edits_more ? el("p", { class: "soft" }, "Its programs also replace text or add lines: under other thresholds words and outcome are an estimate.") : null;
    const fixed = one.facts.state === "fixed" && !one.hidden_lines ? el("p", { class: "soft" }, "This policy reads no margins.") : null;
    const text = el("section", { class: "card", "aria-label": "Text before and after" }, top.element, hidden, estimate, fixed, table);
    return { elements: [header(one), text, programs(one)], table, rows, update: () => update(one, rows, top.cuts) };
  }

  function row(one, line, place) {
    const changed = one.changed[place];
    const content = () => (changed ? pieces(changed) : nodes(line));
    const margin = one.margins[place];
    const made = {
      mark: el("td", { class: "mark" }),
      after: el("td", { class: "no no2" }),
      changed: Boolean(changed),
    };
    made.element = el("tr", { id: `line-${place}` }, el("td", { class: "no" }, place),
      one.noMargins ? null : el("td", { class: margin === null ? "m" : `m ${heat(margin)}` }, margin === null ? "" : Math.abs(margin) > 99 ? (margin < 0 ? "−∞" : "∞") : margin.toFixed(1).replace("-", "−")),
      made.mark, el("td", { class: "t before", dir: "auto" }, content()), made.after, el("td", { class: "t after", dir: "auto" }, content()));
    return made;
  }

  const MARKS = { gone: ["−", "removed"], unsure: ["?", "named by a call, and the model is not sure enough"], changed: ["±", "changed"], same: ["", ""] };

  function update(one, rows, cuts) {
    const now = decided(one);
    let after = 0; let changes = 0;
    rows.forEach((each, line) => {
      const gone = now.removed[line];
      const moved = gone !== one.storedRemoved[line];
      const differs = one.otherRemoved !== null && one.otherRemoved[line] !== gone;
      const kind = gone ? "gone" : now.unsure[line] ? "unsure" : each.changed ? "changed" : "same";
      const [sign, meaning] = MARKS[kind];
      const extra = differs ? (gone ? `; ${settings.against} keeps it` : `; ${settings.against} removes it`) : "";
      each.element.className = `${kind}${moved ? " moved" : ""}${differs ? " differs" : ""}`;
      each.mark.textContent = differs ? (gone ? "−•" : "+•") : sign;
      each.mark.title = meaning + extra;
      each.after.textContent = gone ? "" : after;
      if (!gone) after += 1;
      if (moved) changes += 1;
      cuts[line].setAttribute("class", gone ? "cut" : "stay");
    });
    const removed = now.removed.filter(Boolean).length;
    const children = [el("span", { class: `badge o-${now.outcome}` }, now.outcome), el("code", {}, now.reason),
      el("span", {}, `${number(removed)} of ${number(rows.length)} lines go, ${one.words[0] ? percent(now.wordsAfter / one.words[0]) : "0%"} of the words stay`)];
    if (isMoved() && one.facts.state !== "fixed") {
      children.push(el("span", { class: changes || now.outcome !== one.outcome ? "changed" : "" },
        changes || now.outcome !== one.outcome ? `${number(changes)} lines other than stored${now.outcome !== one.outcome ? `, stored: ${one.outcome}` : ""}` : "as stored"));
    }
    panel.effect.replaceChildren(...children);
  }

  function programs(one) {
    const owners = new Map(((one.facts.owners) || []).map(([chunk, call], place) => [`${chunk}:${call}`, place]));
    const seen = new Map();
    const rows = one.calls.map(([level, chunk, source, status, code, count]) => {
      const call = seen.get(`${level}:${chunk}`) || 0;
      seen.set(`${level}:${chunk}`, call + 1);
      const owner = level === "chunk" ? owners.get(`${chunk}:${call}`) : undefined;
      const first = owner === undefined ? -1 : one.facts.named.indexOf(owner);
      const text = first >= 0 ? el("button", { type: "button", title: "show the first line", onclick: () => jump(first) }, nodes(source)) : el("code", {}, nodes(source));
      return el("tr", {}, el("td", {}, text), el("td", {}, level === "doc" ? "document" : `chunk ${chunk}`),
        el("td", {}, el("span", { class: `status s-${status.replace(/ /g, "-")}` }, status || "not executed")),
        el("td", {}, code ? el("code", {}, code) : ""), el("td", { class: "n" }, count ? number(count) : ""));
    });
    const made = one.programs.map((each) => el("tr", {}, el("td", {}, each.level === "doc" ? "document" : `chunk ${each.chunk}, lines ${each.first} to ${each.first + each.count - 1}`),
      el("td", {}, each.status, each.detail ? [" ", el("code", {}, nodes(each.detail))] : null), el("td", { class: "n" }, `${number(each.tokens[0])} + ${number(each.tokens[1])}`),
      el("td", {}, nodes(each.model)), el("td", {}, el("code", {}, each.revision.slice(0, 24))), el("td", {}, each.template), el("td", {}, el("code", {}, each.run))));
    const head = (names) => el("thead", {}, el("tr", {}, names.map((name) => el("th", { scope: "col" }, name))));
    return el("section", { class: "card", "aria-label": "Programs" }, el("h2", {}, "Program"),
      rows.length ? el("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Calls" }, el("table", { class: "figures calls" }, head(["call", "of", "status", "code", "lines"]), el("tbody", {}, rows))) : el("p", { class: "soft" }, "No program has a call."),
      one.more_calls ? el("p", { class: "soft" }, `${number(one.more_calls)} calls more`) : null,
      el("p", { class: "soft" }, "Statuses are those under the stored policy."),
      made.length ? el("details", {}, el("summary", {}, "Where the programs come from"), el("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Programs" }, el("table", { class: "figures" }, head(["level", "status", "tokens in + out", "model", "revision", "template", "run"]), el("tbody", {}, made)))) : null);
  }

  // ---- moving about
  function jump(line) {
    const target = document.getElementById(`line-${line}`);
    if (!target) return;
    target.scrollIntoView({ block: "center" });
    target.classList.remove("here");
    void target.offsetWidth;
    target.classList.add("here");
    cursor = line;
  }

  let cursor = -1;
  function jumpChange(direction) {
    if (!view) return;
    const starts = view.rows.map((each, line) => [each.element.className.replace(" here", ""), line])
      .filter(([kind, line]) => kind !== "same" && (line === 0 || view.rows[line - 1].element.className.replace(" here", "") !== kind)).map(([, line]) => line);
    const next = direction > 0 ? starts.find((line) => line > cursor) : starts.findLast((line) => line < cursor);
    if (next !== undefined) jump(next);
  }

  function step(direction) {
    if (!shown.length) return;
    const at = shown.indexOf(current);
    const next = shown[Math.min(shown.length - 1, Math.max(0, at + direction))];
    cursor = -1;
    location.hash = `#doc=${encodeURIComponent(next.id)}`;
  }

  function back() { location.hash = "#documents"; }

  function toggleUnified() {
    unified = !unified;
    if (view) view.table.className = `text-table ${unified ? "unified" : "split"}`;
  }

  function leave() { root.classList.remove("reading"); }

  function open() { if (!current && shown.length && !window.matchMedia("(max-width: 860px)").matches) show(shown[0].id); }

  function onlyDiffering() {
    const box = document.getElementById("only-differs");
    if (box && !box.checked) box.click();
    if (shown.length) show(shown[0].id);
  }

  const root = document.getElementById("browser");
  const place = el("div", { class: "doc" });
  const side = sidebar();
  root.append(side, el("div", { class: "doc" }, hasMargins || hasDrops ? thresholds() : hiddenThresholds(), place));
  refreshList();
  if (!all.length) place.append(el("p", { class: "card empty" }, "No document is on this page."));

  function hiddenThresholds() { const made = thresholds(); made.hidden = true; return made; }

  return { show, step, jumpChange, nudge, reset, toggleUnified, setThresholds, leave, open, onlyDiffering, documents: all, settings };
})();
