/**
 * Markdown as models write it, into elements. Whatever is not known stays text: no markup of an
 * answer is ever parsed as HTML, and only http and https become links.
 * @module
 */

import { copy, h, icon } from "./dom.js";
import { toast } from "./toast.js";

const DEEPEST = 12;
const LONGEST_LABEL = 1000;
const LONGEST_ADDRESS = 4000;
const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:\s+(.*))?$/;
const RULE = /^ {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}> ?(.*)$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])(?:\s+(.*)|)$/;
const DIVIDER = /^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;
const PUNCTUATION = /[!-/:-@[-`{-~]/;
const WORD = /[\p{L}\p{N}]/u;
const ADDRESS = /^https?:\/\/[^\s<>"'`]+/i;

/**
 * @param {string} text
 * @returns {DocumentFragment}
 */
export function markdown(text) {
  const fragment = document.createDocumentFragment();
  fragment.append(...blocks(text.replace(/\r\n?/g, "\n").split("\n"), 0));
  return fragment;
}

/** @param {string[]} lines @param {number} depth @returns {Node[]} */
function blocks(lines, depth) {
  if (depth > DEEPEST) return [h("p", null, lines.join("\n"))];
  /** @type {Node[]} */
  const made = [];
  for (let i = 0; i < lines.length; ) {
    if (!lines[i].trim()) {
      i += 1;
      continue;
    }
    const [node, next] =
      fence(lines, i) ??
      heading(lines, i) ??
      quote(lines, i, depth) ??
      list(lines, i, depth) ??
      table(lines, i) ??
      paragraph(lines, i);
    made.push(node);
    i = next;
  }
  return made;
}

/** @typedef {[Node, number] | null} Found a block, and the line after it */

/** @param {string[]} lines @param {number} at @returns {Found} */
function fence(lines, at) {
  const open = FENCE.exec(lines[at]);
  if (!open) return null;
  const [, mark, info] = open;
  const indent = lines[at].search(/\S/);
  const inside = [];
  let i = at + 1;
  for (; i < lines.length; i += 1) {
    const line = lines[i].trim();
    if (line.length >= mark.length && line === mark[0].repeat(line.length)) break;
    inside.push(lines[i].slice(Math.min(indent, Math.max(0, lines[i].search(/\S/)))));
  }
  return [code(inside.join("\n"), info.trim().split(/\s/)[0] ?? ""), i + 1];
}

/** @param {string} text @param {string} language */
function code(text, language) {
  const button = h(
    "button",
    { class: "button", type: "button", data: { kind: "plain", size: "icon" }, "aria-label": "Copy this code", title: "Copy" },
    icon("copy"),
  );
  button.addEventListener("click", async () => {
    const done = await copy(text);
    toast(done ? "Copied." : "The browser did not allow it. Select the text and copy it.", { bad: !done });
  });
  return h(
    "div",
    { class: "md-code" },
    h("div", { class: "md-code-head" }, h("span", null, language.slice(0, 40) || "text"), button),
    h("pre", { tabindex: "0", role: "region", "aria-label": "Code" }, h("code", null, text)),
  );
}

/** @param {string[]} lines @param {number} at @returns {Found} */
function heading(lines, at) {
  if (RULE.test(lines[at])) return [h("hr", null), at + 1];
  const found = HEADING.exec(lines[at]);
  if (!found) return null;
  // The page has h1 and the answer's own title is h2.
  const level = Math.min(6, found[1].length + 2);
  const text = (found[2] ?? "").replace(/\s+#+\s*$/, "");
  return [h(`h${level}`, { data: { level: String(found[1].length) } }, inline(text)), at + 1];
}

/** @param {string[]} lines @param {number} at @param {number} depth @returns {Found} */
function quote(lines, at, depth) {
  const inside = [];
  let i = at;
  for (; i < lines.length; i += 1) {
    const found = QUOTE.exec(lines[i]);
    if (!found) break;
    inside.push(found[1]);
  }
  return i > at ? [h("blockquote", null, blocks(inside, depth + 1)), i] : null;
}

/** @param {string[]} lines @param {number} at @param {number} depth @returns {Found} */
function list(lines, at, depth) {
  const first = ITEM.exec(lines[at]);
  if (!first) return null;
  const base = first[1].length;
  const ordered = /\d/.test(first[2]);
  /** @type {string[][]} */
  const items = [];
  let i = at;
  for (; i < lines.length; i += 1) {
    const line = lines[i];
    const indent = line.search(/\S/);
    const item = RULE.test(line) ? null : ITEM.exec(line);
    if (indent < 0) {
      const after = lines[i + 1]?.search(/\S/) ?? -1;
      if (after < 0 || (after <= base && !isNext(lines[i + 1], base, ordered))) break;
      items.at(-1)?.push("");
    } else if (item && indent <= base + 1) {
      if (/\d/.test(item[2]) !== ordered || indent < base) break;
      items.push([item[3] ?? ""]);
    } else if (indent > base + 1) items.at(-1)?.push(line.slice(Math.min(indent, first[2].length + 1 + base)));
    else if (startsBlock(line) || lines[i - 1]?.trim() === "") break;
    else items.at(-1)?.push(line.trim());
  }
  const start = ordered ? Number.parseInt(first[2], 10) : 1;
  const rows = items.map((inside) => h("li", null, loosened(inside, depth)));
  return [h(ordered ? "ol" : "ul", start !== 1 ? { start } : null, rows), i];
}

/** @param {string} line @param {number} base @param {boolean} ordered */
function isNext(line, base, ordered) {
  const item = ITEM.exec(line);
  return item !== null && !RULE.test(line) && item[1].length >= base && /\d/.test(item[2]) === ordered;
}

/** One paragraph alone needs no element of its own. @param {string[]} lines @param {number} depth */
function loosened(lines, depth) {
  return blocks(lines, depth + 1).flatMap((node, i) =>
    i === 0 && node instanceof HTMLParagraphElement ? [...node.childNodes] : [node],
  );
}

/** @param {string} line */
const startsBlock = (line) => [FENCE, HEADING, RULE, QUOTE].some((pattern) => pattern.test(line));

/** @param {string[]} lines @param {number} at @returns {Found} */
function table(lines, at) {
  const divider = lines[at + 1];
  if (!lines[at].includes("|") || !divider?.includes("-") || !DIVIDER.test(divider)) return null;
  const heads = cells(lines[at]);
  const marks = cells(divider);
  if (marks.length !== heads.length) return null;
  const sides = marks.map((m) => (/:$/.test(m) ? (/^:/.test(m) ? "center" : "end") : "start"));
  const rows = [];
  let i = at + 2;
  for (; i < lines.length && lines[i].includes("|"); i += 1) {
    const row = cells(lines[i]);
    rows.push(h("tr", null, heads.map((_, n) => cell("td", row[n] ?? "", sides[n]))));
  }
  const head = h("thead", null, h("tr", null, heads.map((text, n) => cell("th", text, sides[n]))));
  const whole = h("table", null, head, h("tbody", null, rows));
  return [h("div", { class: "md-table", tabindex: "0", role: "region", "aria-label": "Table" }, whole), i];
}

/** @param {string} tag @param {string} text @param {string} side */
const cell = (tag, text, side) => h(tag, { data: { side } }, inline(text));

/** @param {string} line */
function cells(line) {
  const found = [""];
  let ticks = false;
  const bare = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  for (let i = 0; i < bare.length; i += 1) {
    if (bare[i] === "\\" && bare[i + 1] === "|") {
      found[found.length - 1] += "|";
      i += 1;
    } else if (bare[i] === "|" && !ticks) found.push("");
    else {
      if (bare[i] === "`") ticks = !ticks;
      found[found.length - 1] += bare[i];
    }
  }
  return found.map((text) => text.trim());
}

/** @param {string[]} lines @param {number} at @returns {[Node, number]} */
function paragraph(lines, at) {
  let i = at + 1;
  while (i < lines.length && lines[i].trim() && !startsBlock(lines[i]) && !ITEM.test(lines[i])) {
    if (table(lines, i)) break;
    i += 1;
  }
  return [h("p", null, inline(lines.slice(at, i).join("\n").trim())), i];
}

/**
 * @param {string} text
 * @param {number} [depth]
 * @returns {Node[]}
 */
function inline(text, depth = 0) {
  if (depth > DEEPEST) return [document.createTextNode(text)];
  /** @type {Node[]} */
  const made = [];
  /** Marks that close nowhere further on: looked for once, not at every place. @type {Set<string>} */
  const open = new Set();
  let plain = "";
  for (let i = 0; i < text.length; ) {
    const found =
      special(text, i) ??
      span(text, i, open) ??
      link(text, i, depth) ??
      emphasis(text, i, depth, open) ??
      bare(text, i);
    if (found) {
      if (plain) made.push(document.createTextNode(plain));
      plain = "";
      made.push(found[0]);
      i = found[1];
    } else {
      plain += text[i];
      i += 1;
    }
  }
  if (plain) made.push(document.createTextNode(plain));
  return made;
}

/** Escapes and line ends. @param {string} text @param {number} at @returns {Found} */
function special(text, at) {
  if (text[at] === "\n") return [h("br", null), at + 1];
  if (text[at] === "<") {
    const found = /^<br\s*\/?>/i.exec(text.slice(at, at + 8));
    return found && [h("br", null), at + found[0].length];
  }
  if (text[at] !== "\\" || !PUNCTUATION.test(text[at + 1] ?? "")) return null;
  return [document.createTextNode(text[at + 1]), at + 2];
}

/** Code within a line. @param {string} text @param {number} at @param {Set<string>} open @returns {Found} */
function span(text, at, open) {
  if (text[at] !== "`" || text[at - 1] === "`") return null;
  let ticks = 1;
  while (text[at + ticks] === "`") ticks += 1;
  const mark = "`".repeat(ticks);
  if (open.has(mark)) return null;
  for (let i = text.indexOf(mark, at + ticks); i >= 0; i = text.indexOf(mark, i)) {
    let end = i + ticks;
    while (text[end] === "`") end += 1;
    if (end - i === ticks) {
      const inside = text.slice(at + ticks, i).replaceAll("\n", " ");
      return [h("code", null, /^ .*\S.* $/.test(inside) ? inside.slice(1, -1) : inside), end];
    }
    i = end;
  }
  open.add(mark);
  return null;
}

/** Links, and images as links: nothing is loaded from elsewhere. @param {string} text @param {number} at @param {number} depth @returns {Found} */
function link(text, at, depth) {
  const from = text[at] === "!" ? at + 1 : at;
  if (text[from] !== "[") return null;
  const close = matching(text, from, "[", "]", LONGEST_LABEL);
  if (close < 0 || text[close + 1] !== "(") return null;
  const end = matching(text, close + 1, "(", ")", LONGEST_ADDRESS);
  if (end < 0) return null;
  const given = text.slice(close + 2, end).trim().split(/\s/)[0].replace(/^<|>$/g, "");
  const label = text.slice(from + 1, close);
  const address = safe(given);
  if (!address) return [document.createTextNode(text.slice(at, end + 1)), end + 1];
  return [anchor(address, label ? inline(label, depth + 1) : [given]), end + 1];
}

/** @param {string} text @param {number} at @param {string} open @param {string} close @param {number} longest */
function matching(text, at, open, close, longest) {
  let level = 0;
  for (let i = at; i < text.length && i - at < longest; i += 1) {
    if (text[i] === "\\") i += 1;
    else if (text[i] === open) level += 1;
    else if (text[i] === close && (level -= 1) === 0) return i;
  }
  return -1;
}

/** An address standing in the text. @param {string} text @param {number} at @returns {Found} */
function bare(text, at) {
  if ((text[at] !== "h" && text[at] !== "H") || WORD.test(text[at - 1] ?? "")) return null;
  const found = ADDRESS.exec(text.slice(at, at + LONGEST_ADDRESS));
  if (!found) return null;
  let shown = found[0].replace(/[.,;:!?*_~]+$/, "");
  if (shown.endsWith(")") && !shown.includes("(")) shown = shown.slice(0, -1);
  const address = safe(shown);
  return address ? [anchor(address, [shown]), at + shown.length] : null;
}

/** @param {string} address @param {(Node | string)[]} children */
const anchor = (address, children) =>
  h("a", { href: address, target: "_blank", rel: "noopener noreferrer nofollow" }, children);

/** The address if it is one of the web, else null. @param {string} given */
function safe(given) {
  try {
    const url = new URL(given);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}

/** @param {string} text @param {number} at @param {number} depth @param {Set<string>} open @returns {Found} */
function emphasis(text, at, depth, open) {
  const sign = text[at];
  if (sign !== "*" && sign !== "_" && sign !== "~") return null;
  if (sign === "_" && WORD.test(text[at - 1] ?? "")) return null;
  let run = 1;
  while (text[at + run] === sign) run += 1;
  if (run > 3 || (sign === "~" && run !== 2)) return [document.createTextNode(sign.repeat(run)), at + run];
  const mark = sign.repeat(run);
  const next = text[at + run] ?? " ";
  const end = /\s/.test(next) || open.has(mark) ? -1 : closing(text, at + run, sign, run);
  if (end < 0) {
    if (!/\s/.test(next)) open.add(mark);
    return [document.createTextNode(mark), at + run];
  }
  const inside = inline(text.slice(at + run, end), depth + 1);
  const inner = run === 1 ? h("em", null, inside) : h(sign === "~" ? "del" : "strong", null, inside);
  return [run === 3 ? h("em", null, inner) : inner, end + run];
}

/** @param {string} text @param {number} from @param {string} sign @param {number} run */
function closing(text, from, sign, run) {
  for (let i = from + 1; i < text.length; i += 1) {
    if (text[i] === "\\") i += 1;
    else if (text[i] === "`") {
      const end = text.indexOf("`", i + 1);
      if (end > 0) i = end;
    } else if (text[i] === sign) {
      let length = 1;
      while (text[i + length] === sign) length += 1;
      const fits = length === run || (length === 3 && run < 3);
      const before = text[i - 1];
      const after = text[i + length] ?? " ";
      if (fits && !/\s/.test(before) && !(sign === "_" && WORD.test(after))) return i + (length - run);
      i += length - 1;
    }
  }
  return -1;
}
