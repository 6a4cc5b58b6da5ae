// SPDX-License-Identifier: GPL-2.0-only
// Filters, and what a verdict stands on. All text goes into the page by textContent alone.
"use strict";

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const dialog = byId("detail");
let evidence = null; // parsed when it is first asked for: there may be megabytes of it

function element(name, className, ...inside) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...inside);
  return made;
}

function link(target, ...inside) {
  const made = element("a", "", ...inside);
  made.setAttribute("href", target);
  return made;
}

const fileLink = (path, text) => link(path.split("/").map(encodeURIComponent).join("/"), text);
const hashOf = (driver, clause) =>
  "#" + encodeURIComponent(driver) + "/" + encodeURIComponent(clause);

function cellOf(hash) {
  const [driver, clause] = hash.replace(/^#/, "").split("/");
  try {
    const name = decodeURIComponent(driver), rule = decodeURIComponent(clause ?? "");
    const held = Object.hasOwn(data.held, name) && Object.hasOwn(data.held[name], rule);
    return held ? [name, rule] : null;
  } catch {
    return null; // not one of ours
  }
}

// The filters

const table = byId("matrix");
const rows = [...table.querySelectorAll("tr[data-clause]")].map((row) => {
  const clause = row.dataset.clause;
  const cells = [...row.querySelectorAll("td[data-driver]")].map((td) => {
    const held = data.held[td.dataset.driver][clause];
    return { td, driver: td.dataset.driver, sign: td.querySelector("a"), held };
  });
  const rule = data.rules[clause];
  const said = rule ? `${rule.text} ${rule.source} ${rule.level}` : "";
  return { row, clause, cells, said: `${clause} ${said}`.toLowerCase(), part: row.parentElement };
});
const wanting = [...document.querySelectorAll(".wanting li")];
let shown = []; // the links of the matrix that the filters leave

function filter() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const driver = byId("by-driver").value, part = byId("by-part").value;
  const kind = byId("by-kind").value, only = byId("only-wanting").checked;
  const level = byId("by-level").value;
  const left = new Set();
  let clauses = 0;
  shown = [];
  for (const one of rows) {
    let some = false;
    for (const cell of one.cells) {
      const said = one.said + (cell.held ? cell.held.reason.toLowerCase() : "");
      const fits = cell.held && (!driver || cell.driver === driver)
        && (!part || one.part.dataset.part === part)
        && (!kind || cell.held.kind === kind)
        && (!level || cell.held.level === level)
        && (!only || !data.calm.includes(cell.held.kind))
        && words.every((word) => said.includes(word) || cell.driver.includes(word));
      cell.fits = Boolean(fits);
      some ||= cell.fits;
      if (fits) {
        left.add(hashOf(cell.driver, one.clause));
        shown.push(cell.sign);
      }
    }
    for (const cell of one.cells) cell.sign?.classList.toggle("dim", some && !cell.fits);
    one.row.hidden = !some;
    clauses += some;
  }
  for (const body of table.tBodies) {
    body.hidden = ![...body.rows].some((row) => row.dataset.clause && !row.hidden);
  }
  for (const cell of document.querySelectorAll("th[data-driver], td[data-driver]")) {
    cell.hidden = Boolean(driver) && cell.dataset.driver !== driver;
  }
  for (const item of wanting) {
    item.hidden = !left.has(hashOf(item.dataset.driver, item.dataset.clause));
  }
  for (const group of document.querySelectorAll(".wanting")) {
    group.hidden = !group.querySelector("li:not([hidden])");
  }
  byId("wanting").hidden = wanting.length > 0 && wanting.every((item) => item.hidden);
  byId("none").hidden = clauses > 0;
  byId("shown").textContent = `${clauses} of ${rows.length} clauses, ${shown.length} verdicts`;
  rove(shown.find((sign) => sign.tabIndex === 0) ?? shown[0]);
}

// One tab stop for the whole matrix: arrows lead from verdict to verdict

function rove(target) {
  for (const { cells } of rows) for (const { sign } of cells) if (sign) sign.tabIndex = -1;
  if (target) target.tabIndex = 0;
}

function step(from, key) {
  const x = from.parentElement.cellIndex;
  const lines = [...table.querySelectorAll("tr[data-clause]:not([hidden])")];
  const y = lines.indexOf(from.closest("tr"));
  const at = (row, column) => lines[row]?.cells[column];
  const [down, right] = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[key];
  for (let row = y + down, column = x + right; at(row, column); row += down, column += right) {
    const sign = at(row, column).querySelector("a.sign");
    if (sign && !sign.parentElement.hidden) return sign;
  }
  return null;
}

table.addEventListener("keydown", (event) => {
  if (!event.key.startsWith("Arrow") || !event.target.matches("a.sign")) return;
  const next = step(event.target, event.key);
  if (next) {
    rove(next);
    next.focus();
  }
  event.preventDefault();
});

// What a verdict stands on

// The reproducers, and the ends of transcripts, are what is asked for first: nothing is built that
// is not looked at.
function lazily(details, fill) {
  let filled = false;
  const once = () => {
    if (details.open && !filled) {
      filled = true;
      fill();
    }
  };
  details.addEventListener("toggle", once);
  once();
}

function transcriptOf(text, label) {
  const pre = element("pre", "transcript");
  pre.tabIndex = 0;
  pre.setAttribute("aria-label", label);
  for (const line of text.replace(/\n$/, "").split("\n")) {
    if (/^ {4}(kernel|console): /.test(line)) {
      const fault = /BUG:|WARNING:|Oops|Kernel panic|KASAN|UBSAN|general protection|LOCKUP|blocked for/.test(line);
      pre.append(element("span", fault ? "said fault" : "said", line), "\n");
    } else if (line.startsWith("# ")) {
      pre.append(element("span", "note", line), "\n");
    } else if (line.startsWith("[... ")) {
      pre.append(element("span", "cutting", line), "\n");
    } else {
      const answer = /^(.* = )(-1 E[A-Z0-9]+.*|\? .*)$/.exec(line);
      if (answer) pre.append(answer[1], element("span", "errno", answer[2]), "\n");
      else pre.append(line, "\n");
    }
  }
  return pre;
}

async function copy(button, text, pre) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // No clipboard for a local file in this browser: the text is marked, to be copied by hand.
    getSelection().selectAllChildren(pre);
    button.textContent = "Marked: press Ctrl-C";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2500);
}

function download(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  const anchor = link(url, "");
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

function programOf(suffix, path, source) {
  const language = { c: "C", py: "Python" }[suffix] ?? suffix;
  const details = element("details", "proof program");
  const lines = source === undefined ? "" : `${source.split("\n").length} lines`;
  details.append(element("summary", "", `Reproducer in ${language} `, element("span", "muted", lines)));
  lazily(details, () => {
    if (source === undefined) {
      details.append(element("p", "", "Left out to keep this page small: ", fileLink(path, path)));
      return;
    }
    const pre = element("pre", "", source);
    pre.tabIndex = 0;
    pre.setAttribute("aria-label", `Reproducer in ${language}`);
    const copies = element("button", "copy", "Copy"), saves = element("button", "download", "Download");
    copies.type = saves.type = "button";
    copies.addEventListener("click", () => copy(copies, source, pre));
    saves.addEventListener("click", () => download(path.split("/").pop(), source));
    details.append(element("div", "tools", copies, saves, fileLink(path, "file")), pre);
  });
  return details;
}

function proofOf(one, open) {
  const details = element("details", "proof");
  details.open = open;
  const name = one.test.split("::").pop();
  details.append(element("summary", "",
    element("code", "", `${name}[${one.parameters}]`), " ",
    one.failed ? element("span", "failed", "found the deviation") : ""));
  lazily(details, () => {
    for (const [suffix, path] of Object.entries(one.programs)) {
      details.append(programOf(suffix, path, one.sources?.[suffix]));
    }
    if (one.transcript === undefined) {
      details.append(element("p", "", "Left out to keep this page small: ", fileLink(one.file, one.file)));
      return;
    }
    const links = element("div", "tools", element("span", "muted", "Transcript"), fileLink(one.file, "file"));
    if (one.machine) {
      const console_ = link("#consoles", `console of ${one.machine}`);
      console_.addEventListener("click", (event) => showConsole(event, one.machine));
      links.append(console_);
    }
    details.append(links, transcriptOf(one.transcript, `Transcript of ${name}`));
  });
  return details;
}

function showConsole(event, machine) {
  const details = byId(`console-${machine}`);
  if (!details) return;
  event.preventDefault();
  returnTo = details.querySelector("summary");
  dialog.close();
  details.open = true;
  details.querySelector("pre").scrollTop = 1e9;
  details.scrollIntoView();
}

function row(list, name, ...inside) {
  list.append(element("dt", "", name), element("dd", "", ...inside));
}

function build(driver, clause) {
  const held = data.held[driver][clause], rule = data.rules[clause];
  const body = byId("detail-body");
  byId("detail-title").textContent = `${driver} / ${clause}`;
  const sign = element("span", `sign ${held.look}`, data.signs[held.kind]);
  sign.setAttribute("aria-hidden", "true");
  const verdict = element("p", "verdict", sign, held.name);
  for (const one of held.fingerprints) verdict.append(element("code", "fingerprint", one));
  body.replaceChildren(verdict);
  if (rule) body.append(element("p", "ruling", element("strong", "", rule.level), ` ${rule.text}`));
  if (held.reason) body.append(element("div", "reason", held.reason));
  const about = element("dl", "about");
  if (rule) {
    row(about, "source", rule.source);
    row(about, "applies", rule.applies.join(", ") || "always");
  }
  const others = element("span", "others");
  for (const [name, clauses] of Object.entries(data.held)) {
    if (!Object.hasOwn(clauses, clause)) continue;
    const other = clauses[clause];
    const mark = element("span", `sign ${other.look}`, data.signs[other.kind]);
    mark.setAttribute("aria-hidden", "true");
    const to = link(hashOf(name, clause), mark, ` ${name}`);
    to.setAttribute("aria-label", `${name}: ${other.name}`);
    if (name === driver) to.setAttribute("aria-current", "true");
    others.append(to);
  }
  row(about, "drivers", others);
  const tests = element("ul", "tests");
  for (const test of held.tests) tests.append(element("li", "", element("code", "", test)));
  row(about, held.tests.length === 1 ? "test" : "tests", tests);
  if (held.failures.length) {
    const seen = element("ul", "tests");
    for (const one of held.failures) seen.append(element("li", "", one));
    row(about, "seen", seen);
  }
  body.append(about);
  if (held.evidence.length) {
    evidence ??= JSON.parse(byId("evidence").textContent);
    body.append(element("h3", "", "Evidence"));
    held.evidence.forEach((number, index) => body.append(proofOf(evidence[number], index === 0)));
    if (held.left_out) {
      body.append(element("p", "muted", `${held.left_out} more in `, fileLink("transcripts", "transcripts/")));
    }
  }
  body.scrollTop = 0;
}

let returnTo = null; // what has the focus once the dialog is closed

function signOf(driver, clause) {
  const one = rows.find((candidate) => candidate.clause === clause);
  return one?.cells.find((cell) => cell.driver === driver)?.sign;
}

function show() {
  const at = cellOf(location.hash);
  if (!at) {
    if (dialog.open) dialog.close();
    return;
  }
  build(...at);
  const sign = signOf(...at);
  if (!dialog.open) {
    returnTo = document.activeElement === document.body ? sign : document.activeElement;
    dialog.showModal();
  } else {
    returnTo = sign;
  }
  if (sign) rove(sign);
  const place = shown.indexOf(sign);
  byId("previous").disabled = place <= 0;
  byId("next").disabled = place < 0 || place === shown.length - 1;
  byId("detail-title").focus();
}

function turn(by) {
  const at = cellOf(location.hash);
  const sign = at && shown[shown.indexOf(signOf(...at)) + by];
  if (sign) location.replace(sign.getAttribute("href"));
}

dialog.addEventListener("close", () => {
  if (cellOf(location.hash)) history.replaceState(null, "", location.pathname + location.search);
  if (returnTo?.isConnected) returnTo.focus();
  returnTo = null;
});
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
byId("close").addEventListener("click", () => dialog.close());
byId("previous").addEventListener("click", () => turn(-1));
byId("next").addEventListener("click", () => turn(1));

// The matrix's heading stays below the filters, which take more lines in a narrow window.
new ResizeObserver(([bar]) => {
  const height = `${Math.floor(bar.borderBoxSize[0].blockSize)}px`;
  document.documentElement.style.setProperty("--bar", height);
}).observe(byId("filters"));

byId("search").addEventListener("input", filter);
byId("filters").addEventListener("change", filter);
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("show-all").addEventListener("click", () => {
  byId("filters").reset();
  filter();
});
addEventListener("hashchange", show);
// What is folded up is not printed.
addEventListener("beforeprint", () => {
  for (const group of document.querySelectorAll(".wanting")) group.open = true;
});
filter();
show();
