"use strict";
// What belongs to the whole page: its two views, their addresses, switches, the keyboard.
(() => {
  const overview = document.getElementById("overview");
  const documents = document.getElementById("documents");
  const links = document.querySelectorAll("nav a[data-view]");

  function showView(name) {
    overview.hidden = name !== "overview";
    documents.hidden = name !== "documents";
    links.forEach((link) => (link.dataset.view === name ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current")));
  }

  function read(text) {
    try { return decodeURIComponent(text); } catch { return text; }
  }

  function route() {
    const hash = location.hash.slice(1);
    const isDocument = hash.startsWith("doc=");
    showView(isDocument || hash.startsWith("documents") ? "documents" : "overview");
    if (isDocument) Browser.show(read(hash.slice(4)));
    else if (hash === "documents?differs=1") Browser.onlyDiffering();
    else if (hash.startsWith("documents")) { Browser.leave(); Browser.open(); }
    if (!isDocument) window.scrollTo(0, 0);
  }

  document.querySelectorAll("[data-switch]").forEach((group) => {
    group.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      group.querySelectorAll("button").forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
      document.querySelectorAll(`[data-panel="${group.dataset.switch}"]`).forEach((panel) => { panel.hidden = panel.dataset.value !== button.dataset.value; });
    });
  });

  document.querySelectorAll(".grid button").forEach((button) => {
    button.addEventListener("click", () => {
      Browser.setThresholds(Number(button.dataset.margin), button.dataset.short === "" ? null : Number(button.dataset.short));
      location.hash = "#documents";
    });
  });

  document.getElementById("theme").addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme
      ? document.documentElement.dataset.theme === "dark"
      : window.matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = dark ? "light" : "dark";
  });

  const help = document.getElementById("keys");
  document.getElementById("help").addEventListener("click", () => help.showModal());
  help.querySelector("button").addEventListener("click", (event) => { event.preventDefault(); help.close(); });

  const keys = {
    j: () => Browser.step(1), k: () => Browser.step(-1),
    n: () => Browser.jumpChange(1), p: () => Browser.jumpChange(-1),
    "[": () => Browser.nudge(-0.1), "]": () => Browser.nudge(0.1),
    r: () => Browser.reset(), u: () => Browser.toggleUnified(),
    o: () => { location.hash = "#overview"; }, d: () => { location.hash = "#documents"; },
    "?": () => help.showModal(),
    "/": () => { if (documents.hidden) location.hash = "#documents"; setTimeout(() => document.getElementById("search").focus()); },
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=range]):not([type=checkbox]), select, textarea");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || help.open || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });

  window.addEventListener("hashchange", route);
  route();
})();
