/** The page Playground: conversations with the pool, and what each answer cost in time. */

import { post } from "./lib/api.js";
import { all, announce, copy, fill, find, h, icon, on } from "./lib/dom.js";
import { ago } from "./lib/format.js";
import { toast } from "./lib/toast.js";
import { addToPalette } from "./lib/palette.js";
import { answerView } from "./playground-answer.js";
import { attach, thumbnails } from "./playground-images.js";
import { pick } from "./playground-models.js";
import * as rail from "./playground-options.js";
import { curl, python, request, stream, words } from "./playground-request.js";
import * as store from "./playground-store.js";

/** @typedef {import("./playground-store.js").Answer} Answer */
/** @typedef {import("./playground-store.js").Turn} Turn */

const SAVE_MS = 1000;
const NEAR_END = 140;
const TALLEST = 240;

/** @type {HTMLElement} */
const page = /** @type {any} */ (find("[data-pg]"));
/** @type {HTMLElement} */
const turns = /** @type {any} */ (find("[data-turns]"));
/** @type {HTMLTextAreaElement} */
const text = /** @type {any} */ (find("[data-text]"));
/** @type {HTMLElement} */
const images = /** @type {any} */ (find("[data-images]"));
const sendButton = find("[data-send]");
const stopButton = find("[data-stop]");

let talk = store.current();
/** What is being answered, and how it is stopped. @type {Map<Answer, AbortController>} */
const running = new Map();
/** @type {Map<Answer, () => void>} */
const updates = new Map();
/** Ids of conversations that an answer on its way must not bring back. @type {Set<string>} */
const deleted = new Set();

/* ---- Keeping ---- */

let saving = 0;
let told = "";

function save() {
  clearTimeout(saving);
  saving = 0;
  store.setCurrent(talk);
  const how = store.save(talk);
  if (how !== "saved" && how !== told) {
    const what = how === "without images" ? "without its images" : "no longer";
    toast(`This browser's storage is full: the conversation is kept ${what}. Delete some.`, { bad: true });
  }
  told = how;
}

function saveSoon() {
  saving ||= setTimeout(save, SAVE_MS);
}

addEventListener("pagehide", () => saving && save());

/* ---- Showing ---- */

function show() {
  updates.clear();
  text.value = talk.draft.text;
  grow();
  showImages();
  rail.show(talk.options);
  showModels();
  showTurns();
}

function showTurns() {
  const wide = talk.turns.some((turn) => turn.pair) || talk.options.second !== "";
  page.toggleAttribute("data-wide", wide);
  fill(turns, talk.turns.length ? talk.turns.map(turnView) : welcome());
  showRunning();
}

function welcome() {
  if (!("ready" in page.dataset)) {
    return h(
      "div",
      { class: "pg-welcome" },
      h("h2", null, "Nobody to ask yet"),
      h("p", null, "Add a provider's key first; several are free and take a minute."),
      h("a", { class: "button", href: page.dataset.keys, data: { kind: "main" } }, icon("plus"), " Add a key"),
    );
  }
  const tries = ["Explain idempotency keys to a new colleague.", "Write a haiku about rate limits.", "Compare B-trees and LSM trees in a table."];
  return h(
    "div",
    { class: "pg-welcome" },
    h("h2", null, "Ask the pool something"),
    h("p", null, "With auto, the first model of your chain that can answer does."),
    h(
      "div",
      { class: "actions" },
      tries.map((line) => h("button", { class: "button", type: "button", onclick: () => type(line) }, line)),
    ),
  );
}

/** @param {string} line */
function type(line) {
  text.value = line;
  text.dispatchEvent(new Event("input"));
  text.focus();
}

/** @param {Turn} turn @param {number} at */
function turnView(turn, at) {
  const shown = turn.pair ? turn.answers : [turn.answers[turn.chosen]];
  return h(
    "section",
    { class: "pg-turn", data: turn.pair ? { pair: "" } : {}, "aria-label": `Turn ${at + 1}` },
    turn.user && question(turn.user, at),
    h("div", { class: "pg-answers" }, shown.map((answer) => oneAnswer(turn, at, answer))),
  );
}

/** @param {{text: string, images: string[]}} user @param {number} at */
function question(user, at) {
  const label = { "aria-label": "Edit this message", title: "Edit" };
  const edit = h("button", { class: "button", type: "button", data: { kind: "plain", size: "icon" }, ...label }, icon("edit"));
  edit.addEventListener("click", () => editFrom(at));
  return h(
    "div",
    { class: "pg-user" },
    edit,
    h("div", { class: "pg-said" }, user.images.map((src) => h("img", { src, alt: "Attached image" })), user.text),
  );
}

/** @param {Turn} turn @param {number} at @param {Answer} answer */
function oneAnswer(turn, at, answer) {
  const view = answerView(answer, (action, detail) => act(action, turn, at, answer, detail));
  updates.set(answer, view.update);
  const name = h("span", { class: "pg-asked" }, answer.model);
  if (turn.pair) {
    const chosen = turn.answers[turn.chosen] === answer;
    const go = h("button", { class: "button", type: "button", data: { kind: "plain" }, "aria-pressed": String(chosen) });
    fill(go, chosen ? [icon("check"), " Goes on with this one"] : "Go on with this one");
    go.addEventListener("click", () => choose(turn, turn.answers.indexOf(answer)));
    return h("div", { class: "pg-one" }, h("div", { class: "pg-head" }, name, go), view.element);
  }
  if (turn.answers.length < 2) return view.element;
  const step = (/** @type {number} */ by, /** @type {string} */ label, /** @type {string} */ sign) => {
    const to = turn.chosen + by;
    const props = { class: "button", type: "button", data: { kind: "plain", size: "icon" }, "aria-label": label };
    return h("button", { ...props, disabled: !turn.answers[to], onclick: () => choose(turn, to) }, sign);
  };
  const place = `${turn.chosen + 1} of ${turn.answers.length}`;
  const pager = h("div", { class: "pg-head" }, name, h("span", { class: "pg-pager" }, step(-1, "Answer before", "‹"), place, step(1, "Next answer", "›")));
  return h("div", { class: "pg-one" }, pager, view.element);
}

/** @param {Turn} turn @param {number} to */
function choose(turn, to) {
  turn.chosen = to;
  save();
  showTurns();
}

function showModels() {
  const { model, second } = talk.options;
  for (const [field, id] of [["model", model], ["second", second]]) {
    const button = find(`[data-pick="${field}"]`);
    const name = button && find("[data-name]", button);
    if (!button || !name) continue;
    name.textContent = id;
    button.setAttribute("aria-label", `${field === "model" ? "Model" : "Second model"}: ${id}`);
    button.hidden = id === "";
  }
  const compare = find("[data-compare]");
  compare?.setAttribute("aria-pressed", String(second !== ""));
  if (compare) compare.textContent = second ? "Stop comparing" : "Compare";
  const strategy = /** @type {HTMLSelectElement | null} */ (find("#o-strategy"));
  if (strategy) strategy.disabled = model !== "auto" && second !== "auto";
}

function showRunning() {
  const busy = running.size > 0;
  if (sendButton) sendButton.hidden = busy;
  if (stopButton) stopButton.hidden = !busy;
}

function showImages() {
  thumbnails(images, talk.draft.images, () => {
    showImages();
    save();
  });
}

/** Whether the reader is at the end, and is to stay there. */
function atEnd() {
  const root = document.scrollingElement ?? document.body;
  return root.scrollHeight - root.scrollTop - root.clientHeight < NEAR_END;
}

function toEnd() {
  const root = document.scrollingElement ?? document.body;
  root.scrollTop = root.scrollHeight;
}

function grow() {
  text.style.height = "auto";
  text.style.height = `${Math.min(text.scrollHeight, TALLEST)}px`;
}

/* ---- Asking ---- */

/** @param {string} model @returns {Answer} */
const begun = (model) => ({ model, text: "", thinking: "", calls: [], state: "streaming", attempts: [], resumed: [] });

/** @param {string} model */
function asked(model) {
  const { strategy } = talk.options;
  return model === "auto" && strategy ? `auto:${strategy}` : model;
}

function submit() {
  const said = text.value.trim();
  if (running.size || (!said && !talk.draft.images.length)) return;
  const user = { text: said, images: talk.draft.images };
  if (!ask(user)) return;
  talk.draft = { text: "", images: [] };
  text.value = "";
  grow();
  showImages();
  save();
}

/** A new turn. @param {Turn["user"]} user @returns {boolean} whether it was sent */
function ask(user) {
  if (!rail.check(talk.options)) {
    rail.showWrong();
    return false;
  }
  const { model, second } = talk.options;
  const answers = [model, second].filter(Boolean).map((name) => begun(asked(name)));
  /** @type {Turn} */
  const turn = { user, pair: answers.length > 1, answers, chosen: 0 };
  talk.turns.push(turn);
  for (const answer of answers) run(answer, talk.turns.length - 1);
  saveSoon();
  showTurns();
  toEnd();
  return true;
}

/** @param {Answer} answer @param {number} at the turn @param {boolean} [goOn] */
async function run(answer, at, goOn = false) {
  const own = talk;
  const stop = new AbortController();
  running.set(answer, stop);
  const since = performance.now();
  const before = answer.duration ?? 0;
  const body = request(own, at, answer.model, goOn ? answer : undefined);
  Object.assign(answer, { state: "streaming", why: undefined, finish: undefined });
  const passed = () => (performance.now() - since) / 1000;
  try {
    await stream(body, stop.signal, (headers) => takeHead(answer, headers), (event) => {
      take(answer, event, passed);
      changed(answer);
    });
    answer.state = "done";
  } catch (error) {
    if (stop.signal.aborted) answer.state = "stopped";
    else {
      stop.abort();
      answer.state = answer.text ? "broken" : "failed";
      answer.why = words(error);
    }
  }
  answer.duration = before + passed();
  if (answer.state === "done") await learn(answer, goOn);
  running.delete(answer);
  if (own === talk) save();
  else if (!deleted.has(own.id)) store.save(own);
  changed(answer);
  showRunning();
  announce({ done: `${answer.via ?? "The model"} has answered.`, stopped: "Stopped." }[answer.state] ?? answer.why ?? "");
}

/** @param {Answer} answer */
function changed(answer) {
  const stay = atEnd();
  updates.get(answer)?.();
  if (stay) toEnd();
  saveSoon();
}

/** @param {Answer} answer @param {Headers} headers */
function takeHead(answer, headers) {
  answer.via = headers.get("X-Routed-Via") ?? undefined;
  answer.requestId = headers.get("X-Request-Id") ?? undefined;
  const trail = headers.get("X-Fallback-Trail");
  const failed = (trail ? trail.split(", ") : []).map((one) => {
    const cut = one.lastIndexOf("=");
    return { model: one.slice(0, cut), kind: one.slice(cut + 1) };
  });
  answer.attempts.push(...failed);
}

/** @param {Answer} answer @param {any} event @param {() => number} passed */
function take(answer, event, passed) {
  if (event.resumed) answer.resumed.push(event.resumed);
  if (event.usage) {
    answer.promptTokens = event.usage.prompt_tokens ?? answer.promptTokens;
    answer.tokens = (answer.continued ? (answer.tokens ?? 0) : 0) + (event.usage.completion_tokens ?? 0);
  }
  const choice = event.choices?.[0];
  if (!choice) return;
  const delta = choice.delta ?? {};
  const thought = delta.reasoning_content ?? delta.reasoning ?? "";
  if ((delta.content || thought || delta.tool_calls) && answer.firstToken === undefined) answer.firstToken = passed();
  answer.text += delta.content ?? "";
  if (typeof thought === "string") answer.thinking += thought;
  for (const piece of delta.tool_calls ?? []) {
    const call = (answer.calls[piece.index ?? 0] ??= { id: "", name: "", arguments: "" });
    call.id ||= piece.id ?? "";
    call.name += piece.function?.name ?? "";
    call.arguments += piece.function?.arguments ?? "";
  }
  answer.finish = choice.finish_reason ?? answer.finish;
}

/** What the log says of it: exact times, and why others failed. @param {Answer} answer @param {boolean} goOn */
async function learn(answer, goOn) {
  try {
    const row = await post("/api/route/explain", { request_id: answer.requestId });
    const failed = row.attempts.filter((/** @type {any} */ a) => !a.answered);
    const known = answer.attempts.slice(0, goOn ? -failed.length || undefined : 0);
    answer.attempts = [
      ...known,
      ...failed.map((/** @type {any} */ a) => ({ model: a.model, kind: a.kind, status: a.status, reason: a.reason, duration: a.duration })),
    ];
    answer.via = row.served_by ?? answer.via;
    if (goOn) return;
    answer.firstToken = row.first_token ?? answer.firstToken;
    answer.duration = row.duration;
    answer.tokens ??= row.completion_tokens || undefined;
    answer.promptTokens ??= row.prompt_tokens || undefined;
  } catch {
    // The page's own clock and the headers say nearly the same.
  }
}

function stop() {
  for (const one of running.values()) one.abort();
}

/* ---- What is done with an answer ---- */

/** @param {string} action @param {Turn} turn @param {number} at @param {Answer} answer @param {any} detail */
async function act(action, turn, at, answer, detail) {
  if (action === "copy") return told_(await copy(answer.text), "Copied.");
  if (action === "curl" || action === "python") {
    const body = request(talk, at, answer.model);
    return told_(await copy(action === "curl" ? curl(body) : python(body)), `Copied as ${action === "curl" ? "curl" : "Python"}. Put the unified key into FREELLMAPI_KEY.`);
  }
  if (isBusy()) return;
  if (!rail.check(talk.options)) return rail.showWrong();
  if (action === "continue") {
    answer.continued = (answer.continued ?? 0) + 1;
    run(answer, at, true);
    return showTurns();
  }
  if (action === "results") {
    answer.calls.forEach((call, i) => (call.result = detail[i]));
    turn.chosen = turn.answers.indexOf(answer);
    return void ask(null);
  }
  const model = action === "other" ? await pick("Retry with", answer.model) : answer.model;
  if (model) again(turn, at, answer, action === "other" ? asked(model) : model);
}

/** @param {Turn} turn @param {number} at @param {Answer} answer @param {string} model */
function again(turn, at, answer, model) {
  const next = begun(model);
  const place = turn.answers.indexOf(answer);
  // Beside another answer, or when there was none, the new one stands in its place.
  if (turn.pair || (answer.state === "failed" && !answer.text)) turn.answers[place] = next;
  else {
    turn.answers.push(next);
    turn.chosen = turn.answers.length - 1;
  }
  run(next, at);
  saveSoon();
  showTurns();
}

/** @param {boolean} done @param {string} message */
function told_(done, message) {
  toast(done ? message : "The browser did not allow it.", { bad: !done });
}

/** Whether an answer is being written; says so. */
function isBusy() {
  if (running.size) toast("Wait for the answer, or stop it first.");
  return running.size > 0;
}

/** @param {number} at */
function editFrom(at) {
  if (isBusy()) return;
  const before = { turns: talk.turns, draft: { ...talk.draft, text: text.value } };
  const own = talk;
  const { user } = talk.turns[at];
  if (!user) return;
  talk.turns = talk.turns.slice(0, at);
  talk.draft = { text: user.text, images: [...user.images] };
  save();
  show();
  text.focus();
  const undo = () => {
    Object.assign(own, before);
    store.save(own);
    if (own === talk) show();
  };
  toast("The message is back in the field; what followed it is taken away.", { undo });
}

/* ---- Conversations ---- */

/** @param {import("./playground-store.js").Conversation} next */
function open(next) {
  stop();
  if (saving) save();
  if (!talk.turns.length && !talk.draft.text && talk !== next) store.remove(talk.id);
  talk = next;
  save();
  show();
  toEnd();
  text.focus();
}

function listTalks() {
  const place = find("[data-talk-list]");
  if (!place) return;
  save();
  const found = store.list();
  const rows = found.map((one) => {
    const item = h(
      "button",
      { class: "menu-item", type: "button", "aria-pressed": one.id === talk.id ? "true" : null },
      h("span", { class: "pg-title" }, store.title(one)),
      h("span", { class: "quiet small" }, ago(one.at)),
    );
    item.addEventListener("click", () => one.id !== talk.id && open(one));
    const label = `Delete: ${store.title(one)}`;
    const away = h("button", { class: "button", type: "button", data: { kind: "plain", size: "icon" }, "aria-label": label, title: "Delete" }, icon("trash"));
    away.addEventListener("click", (event) => {
      event.stopPropagation();
      deleteTalk(one);
    });
    return h("div", { class: "pg-talk" }, item, away);
  });
  fill(place, rows.length ? rows : h("p", { class: "quiet pg-none" }, "Nothing here yet. Conversations stay in this browser."));
}

/** @param {import("./playground-store.js").Conversation} one */
function deleteTalk(one) {
  const shown = one.id === talk.id;
  const gone = shown ? talk : one;
  store.remove(gone.id);
  deleted.add(gone.id);
  if (shown) {
    stop();
    clearTimeout(saving);
    saving = 0;
    talk = store.fresh(gone.options);
    show();
  }
  listTalks();
  const undo = () => {
    deleted.delete(gone.id);
    store.save(gone);
    if (shown) open(gone);
  };
  toast(`Deleted: ${store.title(gone)}`, { undo });
}

function startNew() {
  open(store.fresh(talk.options));
}

/* ---- Listening ---- */

text.addEventListener("input", () => {
  talk.draft.text = text.value;
  grow();
  saveSoon();
});
text.addEventListener("keydown", (event) => {
  const sends = event.key === "Enter" && !event.shiftKey && !event.isComposing;
  if (!sends) return;
  event.preventDefault();
  submit();
});
find("[data-composer]")?.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
stopButton?.addEventListener("click", stop);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && running.size && !find("dialog[open], details.menu[open]")) stop();
});
on(document, "click", "[data-pick]", async (_event, button) => {
  const field = /** @type {"model" | "second"} */ (button.dataset.pick);
  const id = await pick(field === "model" ? "Model" : "Second model", talk.options[field]);
  if (id === null) return;
  talk.options[field] = id;
  showModels();
  save();
});
on(document, "click", "[data-compare]", async () => {
  talk.options.second = talk.options.second ? "" : ((await pick("Compare with", "")) ?? "");
  page.toggleAttribute("data-wide", talk.turns.some((turn) => turn.pair) || talk.options.second !== "");
  showModels();
  save();
});
on(document, "click", "[data-new]", startNew);
find("[data-talks]")?.addEventListener("toggle", listTalks);
attach(text, find("[data-file]"), (url) => {
  talk.draft.images.push(url);
  showImages();
  save();
});
rail.bind(() => talk.options, saveSoon);
addToPalette({ kind: "Action", label: "New conversation", run: startNew });

show();
if (talk.turns.length) toEnd();
for (const one of all("[data-talks] summary")) one.setAttribute("aria-label", "Conversations in this browser");
