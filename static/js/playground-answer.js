/**
 * One answer on the page: its words, who gave them and how fast, and what can be done with it.
 * @module
 */

import { fill, h, icon } from "./lib/dom.js";
import { duration, number } from "./lib/format.js";
import { markdown } from "./lib/markdown.js";
import { hue } from "./lib/theme.js";

/** @typedef {import("./playground-store.js").Answer} Answer */
/** @typedef {"retry" | "other" | "continue" | "copy" | "curl" | "python" | "choose" | "results"} Action */

/** @type {Record<string, string>} */
const KINDS = {
  rate_limited: "rate limited",
  daily_quota: "daily quota used up",
  out_of_credit: "out of credit",
  key_rejected: "key rejected",
  model_forbidden: "model not allowed",
  model_gone: "model gone",
  context_too_long: "context too long",
  request_refused: "request refused",
  content_policy: "content policy",
  server_error: "server error",
  bad_answer: "unusable answer",
  timeout: "no answer in time",
  unreachable: "unreachable",
  stream_broken: "stream broke",
  overtaken: "overtaken",
};
const STATES = { done: "", streaming: "", stopped: "Stopped here.", broken: "", failed: "" };
/** Markdown of a long answer takes time; it gets this share of it at most. */
const SHARE = 0.2;

/**
 * @param {Answer} answer
 * @param {(action: Action, detail?: any) => void} act
 * @returns {{element: HTMLElement, update: () => void}}
 */
export function answerView(answer, act) {
  const thinking = h("details", { class: "fold pg-thinking", hidden: true }, h("summary", null, "Reasoning"), h("p"));
  const body = h("div", { class: "md" });
  const calls = h("div", { class: "pg-calls" });
  const mark = h("div", { class: "pg-mark", hidden: true });
  const foot = h("div", { class: "pg-foot" });
  const element = h("article", { class: "pg-answer", "aria-label": "Answer" }, thinking, body, calls, mark, foot);
  let shown = "";
  let timer = 0;
  let last = 0;
  let cost = 0;
  let settled = "";

  const words = () => {
    clearTimeout(timer);
    timer = 0;
    const began = performance.now();
    if (answer.text !== shown) fill(body, markdown(answer.text));
    shown = answer.text;
    last = performance.now();
    cost = last - began;
  };
  const update = () => {
    const writing = answer.state === "streaming";
    element.dataset.state = answer.state;
    element.setAttribute("aria-busy", String(writing));
    thinking.hidden = !answer.thinking;
    if (answer.thinking) fill(thinking.children[1], answer.thinking);
    const wait = Math.max(30, cost / SHARE) - (performance.now() - last);
    if (!writing || wait <= 0) words();
    else if (!timer) timer = setTimeout(words, wait);
    body.dataset.empty = writing && !answer.text && !answer.thinking && !answer.calls.length ? "waiting" : "";
    if (writing && settled === "streaming") return;
    settled = answer.state;
    fill(calls, writing ? [] : toolCalls(answer, act));
    showMark(mark, answer, act);
    fill(foot, line(answer), tools(answer, act), tries(answer));
  };
  update();
  return { element, update };
}

/** @param {HTMLElement} mark @param {Answer} answer @param {(action: Action) => void} act */
function showMark(mark, answer, act) {
  const { state } = answer;
  const cut = state === "done" && answer.finish === "length";
  const said = cut ? "Cut off: the limit of tokens is reached." : (STATES[state] || answer.why) ?? "";
  mark.hidden = state === "done" ? !cut : state === "streaming";
  mark.dataset.state = state === "failed" || state === "broken" ? "invalid" : "off";
  const begun = answer.text !== "";
  const title = state === "failed" ? "Nobody answered. " : state === "broken" ? "The answer broke off here. " : "";
  fill(
    mark,
    h("p", { role: state === "stopped" || cut ? null : "alert" }, title && h("strong", null, title), said),
    h(
      "div",
      { class: "actions" },
      begun && button("Continue", () => act("continue")),
      !cut && button("Retry", () => act("retry")),
      !cut && button("Another model", () => act("other")),
    ),
  );
}

/** The quiet line: who, how fast, how much, and after whom. @param {Answer} answer */
function line(answer) {
  /** @type {(Node | string)[]} */
  const parts = [];
  if (answer.via) {
    const [provider, ...model] = answer.via.split("/");
    parts.push(
      h(
        "span",
        { class: "provider" },
        h("span", { class: "dot", data: { hue: String(hue(provider)) } }),
        h("span", null, `${provider} / ${model.join("/")}`),
      ),
    );
  }
  const { firstToken, duration: whole, tokens: out, promptTokens } = answer;
  if (firstToken !== undefined) parts.push(`${duration(firstToken)} to first token`);
  if (whole !== undefined) parts.push(duration(whole));
  const writing = whole !== undefined ? whole - (firstToken ?? 0) : 0;
  if (out && writing >= 0.001) parts.push(`${number(Math.round(out / writing))} tok/s`);
  if (out) {
    const title = promptTokens === undefined ? null : `${number(promptTokens)} in, ${number(out)} out`;
    parts.push(h("span", { title }, `${number(out)} tokens`));
  }
  if (answer.resumed.length) parts.push(`resumed on ${answer.resumed.join(", ")}`);
  if (answer.continued) parts.push(answer.continued === 1 ? "continued once" : `continued ${answer.continued} times`);
  if (answer.attempts.length && answer.via) {
    const told = answer.attempts.map((a) => `${a.model.split("/")[0]} (${a.status ?? KINDS[a.kind] ?? a.kind})`);
    parts.push(`after ${told.join(", ")}`);
  }
  const between = parts.flatMap((part, i) => (i ? [h("span", { class: "pg-sep", "aria-hidden": "true" }, " · "), part] : [part]));
  return h("p", { class: "pg-line", data: { line: "" } }, between);
}

/** @param {Answer} answer */
function tries({ attempts }) {
  if (!attempts.length) return null;
  return h(
    "details",
    {
      class: "fold pg-tries",
      // Under the last answer they would open behind the composer.
      ontoggle: (/** @type {Event} */ event) => {
        const { lastElementChild: list, open } = /** @type {HTMLDetailsElement} */ (event.currentTarget);
        if (open) list?.scrollIntoView({ block: "nearest" });
      },
    },
    h("summary", null, attempts.length === 1 ? "1 failed attempt" : `${attempts.length} failed attempts`),
    h(
      "ul",
      null,
      attempts.map((a) =>
        h(
          "li",
          null,
          h("strong", null, a.model),
          ` ${[a.status, KINDS[a.kind] ?? a.kind, a.duration !== undefined && duration(a.duration)].filter(Boolean).join(" · ")}`,
          a.reason && h("span", { class: "quiet" }, `: ${a.reason}`),
        ),
      ),
    ),
  );
}

/** @param {Answer} answer @param {(action: Action) => void} act */
function tools(answer, act) {
  if (answer.state === "streaming") return null;
  return h(
    "div",
    { class: "pg-tools" },
    answer.text && small("copy", "Copy the answer", () => act("copy")),
    small("refresh", "Retry", () => act("retry")),
    h(
      "details",
      { class: "menu" },
      h("summary", { class: "button", data: { kind: "plain", size: "icon" }, "aria-label": "More", title: "More" }, icon("dots")),
      h(
        "div",
        { class: "menu-items" },
        item("Retry with another model", () => act("other")),
        item("Copy as curl", () => act("curl")),
        item("Copy as Python", () => act("python")),
        answer.requestId && route(answer.requestId),
      ),
    ),
  );
}

/** @param {Answer} answer @param {(action: Action, detail?: any) => void} act */
function toolCalls(answer, act) {
  if (!answer.calls.length) return [];
  const sent = answer.calls.every((call) => call.result !== undefined);
  /** @type {HTMLTextAreaElement[]} */
  const fields = [];
  const rows = answer.calls.map((call, i) => {
    const field = /** @type {HTMLTextAreaElement} */ (
      h("textarea", { class: "input mono", rows: 2, "aria-label": `Result of ${call.name}`, placeholder: "What the function returned" })
    );
    field.value = call.result ?? "";
    field.readOnly = sent;
    fields[i] = field;
    return h(
      "div",
      { class: "pg-call" },
      h("p", null, icon("tool"), h("strong", null, call.name)),
      h("pre", { tabindex: "0", role: "region", "aria-label": "Arguments" }, h("code", null, pretty(call.arguments))),
      field,
    );
  });
  const go = button("Send results", () => act("results", fields.map((field) => field.value)));
  return sent ? rows : [...rows, h("div", { class: "actions" }, go)];
}

/** @param {string} json */
function pretty(json) {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}

/** @param {string} text @param {() => void} onclick */
const button = (text, onclick) => h("button", { class: "button", type: "button", onclick }, text);

/** @param {string} text @param {() => void} onclick */
const item = (text, onclick) => h("button", { class: "menu-item", type: "button", onclick }, text);

/** Each attempt with its times, on the page Chain. @param {string} id */
const route = (id) => h("a", { class: "menu-item", href: `/chain?request=${encodeURIComponent(id)}` }, "See its route");

/** @param {string} drawing @param {string} label @param {() => void} onclick */
const small = (drawing, label, onclick) =>
  h(
    "button",
    { class: "button", type: "button", data: { kind: "plain", size: "icon" }, "aria-label": label, title: label, onclick },
    icon(drawing),
  );
