"use strict";
// Decides a document's lines again under other margins, as spark_prox/programs does (execute.py, lines.py, verdict.py).
// Knows no page. A document has `facts` (see spark_prox/report/facts.py) and `margins`, one for each line or null.
const Decide = (() => {
  // Same as Policy.min_remove_margin, min_remove_margin_short and short_line_words.
  function leastMargin(words, policy) {
    const short = policy.min_remove_margin_short;
    return short === null || words >= policy.short_line_words ? policy.min_remove_margin : short;
  }

  // Whether the model is too unsure to remove this line. Margins are stored as 32-bit floats.
  function isUnsure(margin, words, policy) {
    if (policy.min_remove_margin === null || margin === null) return false;
    return !(-Math.fround(margin) >= leastMargin(words, policy));
  }

  function dropsDocument(facts, docMargin, policy) {
    if (!facts.drop) return false;
    return policy.min_drop_margin === null || docMargin === null || -docMargin >= policy.min_drop_margin;
  }

  function total(words, removed) {
    let sum = 0;
    for (let line = 0; line < words.length; line += 1) if (!removed[line]) sum += words[line];
    return sum;
  }

  // Chunk programs that remove more of their chunk than the policy allows.
  function wipedChunks(document, removed, policy) {
    const wiped = new Set();
    if (policy.max_removed_of_chunk === null) return wiped;
    document.chunks.forEach(([first, count], chunk) => {
      let before = 0;
      let after = 0;
      let touches = false;
      for (let line = first; line < Math.min(first + count, document.facts.words.length); line += 1) {
        before += document.facts.words[line];
        if (removed[line]) touches = true;
        else after += document.facts.words[line];
      }
      const alive = !document.facts.refused[chunk] && !document.facts.failed[chunk];
      if (alive && touches && before && after < before * (1 - policy.max_removed_of_chunk)) wiped.add(chunk);
    });
    return wiped;
  }

  function firstRefusedCall(facts, unsureOwners) {
    const found = facts.refused_calls.map(([chunk, call, code]) => [chunk, call, code]);
    for (const place of unsureOwners) found.push([...facts.owners[place], "UNSURE"]);
    found.sort((one, other) => one[0] - other[0] || one[1] - other[1]);
    return found.length ? found[0][2] : null;
  }

  function unedited(facts, refused, unsureOwners) {
    const verdict = refused.find((code) => code);
    if (verdict) return { outcome: "REFUSED", reason: verdict };
    if (facts.failed.length && facts.failed.every((code) => code)) {
      return { outcome: "FAILED", reason: facts.failed[0] };
    }
    const call = firstRefusedCall(facts, unsureOwners);
    if (call !== null) return { outcome: "REFUSED", reason: call };
    return { outcome: "KEPT", reason: facts.otherwise };
  }

  // {outcome, reason, removed: one flag a line, unsure: one flag a line, wordsAfter}
  function decide(document, policy) {
    const { facts, margins } = document;
    const nothing = facts.words.map(() => false);
    const result = (outcome, reason, removed, unsure) => ({
      outcome,
      reason,
      removed: outcome === "DROPPED" ? nothing.map(() => true) : removed,
      unsure: unsure || nothing,
      wordsAfter: outcome === "DROPPED" ? 0 : total(facts.words, removed),
    });
    if (dropsDocument(facts, document.doc_margin, policy)) return result("DROPPED", "DROP_CALL", nothing);
    if (facts.state === "missing") return result("FAILED", "NO_PROGRAM", nothing);
    if (facts.state === "off") return result("KEPT", facts.doc_reason, nothing);
    if (facts.state === "empty") return result("KEPT", "EMPTY_TEXT", nothing);
    let removed = facts.words.map((words, line) => facts.named[line] >= 0 && !isUnsure(margins[line], words, policy));
    const unsure = facts.words.map((_, line) => facts.named[line] >= 0 && !removed[line]);
    const wiped = wipedChunks(document, removed, policy);
    const ofWiped = (line) => facts.named[line] >= 0 && wiped.has(facts.owners[facts.named[line]][0]);
    if (wiped.size) removed = removed.map((flag, line) => flag && !ofWiped(line));
    const refused = facts.refused.map((code, chunk) => (wiped.has(chunk) ? "CHUNK_WIPED" : code));
    const before = facts.words.reduce((sum, words) => sum + words, 0);
    const after = total(facts.words, removed);
    const edits = removed.some((flag) => flag) || facts.edits_more;
    if (facts.all_drop && !wiped.size && edits) return result("DROPPED", "DROP_CALL", removed, unsure);
    const limit = policy.max_removed_of_document;
    if (limit !== null && edits && before > 0 && after / before <= 1 - limit) {
      if (policy.when_wiped === "drop") return result("DROPPED", "DOCUMENT_WIPED", removed, unsure);
      return result("REFUSED", "DOCUMENT_WIPED", nothing, unsure);
    }
    if (policy.min_words_after && after < policy.min_words_after) {
      return result("DROPPED", "FEW_WORDS", removed, unsure);
    }
    if (edits) {
      const partly = refused.some((code) => code) ? "PARTLY_REFUSED" : "";
      const failed = facts.failed.some((code) => code) ? "PARTLY_FAILED" : "EDITS";
      return result("EDITED", partly || failed, removed, unsure);
    }
    const removing = new Set(facts.named.filter((place, line) => place >= 0 && removed[line]));
    const doubted = new Set(facts.named.filter((place, line) => place >= 0 && unsure[line] && !removing.has(place)));
    const { outcome, reason } = unedited(facts, refused, doubted);
    return result(outcome, reason, nothing, unsure);
  }

  return { decide, isUnsure };
})();
