/**
 * Adding: one field that knows whose key it holds, a pasted .env, an endpoint.
 * @module
 */

import { ApiError, post } from "./lib/api.js";
import { all, fill, find, h, state } from "./lib/dom.js";
import { toast } from "./lib/toast.js";
import { refresh } from "./keys-live.js";

const PREVIEW_MS = 300;
const AT_ONCE = 4;
/** So long the form waits for a result; a slower test goes on without it. */
const RESULT_MS = 2000;

/** @type {[string, string, string, string][]} id, name, pattern, hint */
const patterns = JSON.parse(find("#patterns")?.textContent ?? "[]");
const form = /** @type {HTMLFormElement} */ (find("[data-add]"));
const field = /** @type {HTMLInputElement} */ (find("#key"));
const choice = /** @type {HTMLSelectElement} */ (find("#provider"));
const label = /** @type {HTMLInputElement} */ (find("#label"));
const said = /** @type {HTMLElement} */ (find("#add-said"));
const AT_FIRST = said.textContent ?? "";

/** Whether the choice of provider is the user's own. */
let chosen = false;
/** The key that was refused for its look: sent again, it is meant. */
let refused = "";
let testing = 0;

/** Begin to add a key of this provider. @param {string} id */
export function chooseProvider(id) {
  choice.value = id;
  chosen = true;
  field.focus();
  find("#add")?.scrollIntoView({ block: "center" });
  judge();
}

field.addEventListener("input", () => {
  if (!chosen) choice.value = alike(field.value.trim())[0]?.[0] ?? "";
  judge();
});
choice.addEventListener("change", () => {
  chosen = choice.value !== "";
  judge();
});

/** @param {string} key */
function alike(key) {
  return key ? patterns.filter(([, , pattern]) => pattern && new RegExp(pattern).test(key)) : [];
}

/** Say what the field holds, while it is typed. */
function judge() {
  const key = field.value.trim();
  const known = patterns.find(([id]) => id === choice.value);
  const found = alike(key);
  markWrong(null);
  if (!key) return say(known ? `${known[1]}: ${known[3] || "a key of any form"}` : AT_FIRST);
  if (/\s/.test(key)) return say("A key holds no spaces. Several at once? Use the import below.", "bad");
  if (!chosen) {
    if (found.length > 1) {
      choice.value = "";
      return say(`It could be a key of ${found.map((one) => one[1]).join(" or ")}: choose which.`);
    }
    return say(found.length ? `A key of ${found[0][1]}.` : "Not recognised yet: choose its provider.", found.length ? "good" : "");
  }
  if (!known) return;
  const [, name, pattern, hint] = known;
  if (!pattern) return say(hint ? `${name}: ${hint}` : `${name} has keys of any form.`);
  if (new RegExp(pattern).test(key)) return say(`It looks like a key of ${name}.`, "good");
  const others = found.length ? ` It looks like one of ${found.map((one) => one[1]).join(" or ")}.` : "";
  say(`Not yet a key of ${name}${hint ? ` (expected: ${hint})` : ""}.${others}`);
}

/** @param {HTMLElement | null} wrong the field of which something is said */
function markWrong(wrong) {
  for (const one of [field, choice, label]) one.setAttribute("aria-invalid", String(one === wrong));
}

/** @param {string} text @param {string} [kind] */
function say(text, kind = "") {
  if (said.textContent !== text) said.textContent = text;
  said.dataset.kind = kind;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = find("button[type=submit]", form);
  if (button?.getAttribute("aria-busy") === "true") return;
  const values = entries(form);
  if (values.key && values.key === refused) values.force = "yes";
  button?.setAttribute("aria-busy", "true");
  say("Storing it …");
  const waited = new Promise((done) => setTimeout(done, RESULT_MS, "waited"));
  try {
    const stored = await post("/api/keys", values);
    form.reset();
    chosen = false;
    refused = "";
    say(`${stored.message} Testing it …`);
    const told = test(stored.provider, stored.key);
    refresh();
    if ((await Promise.race([told, waited])) === "waited") {
      const name = patterns.find(([id]) => id === stored.provider)?.[1] ?? stored.provider;
      say(`Stored. ${name} has not answered yet: still testing, and you will be told.`);
    }
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const again = error.code === "wrong_format";
    refused = again ? values.key : "";
    say(again ? `${error.message} Press "Add and test" again if it is right all the same.` : error.message, "bad");
    const wrong = { key: field, provider: choice, label }[error.param ?? ""] ?? null;
    markWrong(wrong);
    (wrong ?? field).focus();
  } finally {
    button?.removeAttribute("aria-busy");
  }
});

/** Ask the provider, and tell. @param {string} provider @param {string} key */
async function test(provider, key) {
  const path = `/api/keys/${encodeURIComponent(provider)}/${encodeURIComponent(key)}/check`;
  const mine = (testing += 1);
  try {
    const { message, status } = await post(path);
    const good = status === "healthy";
    // Whoever is at the next key already is told by the toast alone.
    if (mine === testing && !field.value) say(message, good ? "good" : "bad");
    toast(good ? message : `${message} It is kept; Undo removes it.`, {
      bad: !good,
      undo: async () => {
        const { message: done } = await post(`/api/keys/${key}/remove`).catch((error) => error);
        toast(done);
        judge();
        await refresh();
      },
    });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (mine === testing && !field.value) say(`It is stored, but was not tested: ${error.message}`, "bad");
    else toast(error.message, { bad: true });
  } finally {
    await refresh();
  }
}

/* ---- A pasted .env ---- */

const env = /** @type {HTMLTextAreaElement} */ (find("#env"));
const importForm = /** @type {HTMLFormElement} */ (find("[data-import]"));
const table = /** @type {HTMLElement} */ (find("[data-preview]"));
const importButton = /** @type {HTMLButtonElement} */ (find("button[type=submit]", importForm));
let waiting = 0;
let turn = 0;

env.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(preview, PREVIEW_MS);
});

async function preview() {
  const mine = (turn += 1);
  complain(importForm, "#env-said", "");
  if (!env.value.trim()) {
    fill(table);
    importButton.textContent = "Import";
    importButton.disabled = false;
    return;
  }
  try {
    const { found } = await post("/api/keys/preview", { text: env.value });
    if (mine === turn) showPreview(found);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    complain(importForm, "#env-said", error.message);
  }
}

/** @param {{variable: string, provider: string | null, key: string, verdict: string, reason: string}[]} found */
function showPreview(found) {
  const fresh = found.filter((one) => one.verdict === "new").length;
  importButton.textContent = `Import ${fresh} key${fresh === 1 ? "" : "s"}`;
  importButton.disabled = fresh === 0;
  if (!found.length) return fill(table, h("p", { class: "hint" }, "No keys were found there yet."));
  const rows = found.map((one) =>
    h(
      "tr",
      null,
      h("td", null, one.provider ?? "–"),
      h("td", null, h("code", null, one.variable || "–")),
      h("td", null, h("code", null, one.key || "–")),
      h("td", null, state(one.verdict === "new" ? "healthy" : "unknown", one.verdict)),
      h("td", { class: "quiet" }, one.reason),
    ),
  );
  const heads = ["Provider", "Variable", "Key", "", ""].map((text) => h(text ? "th" : "td", text ? { scope: "col" } : null, text));
  fill(
    table,
    h(
      "div",
      { class: "table-frame", tabindex: "0", role: "region", "aria-label": "What would be imported" },
      h("table", { class: "table" }, h("thead", null, h("tr", null, heads)), h("tbody", null, rows)),
    ),
  );
}

importForm.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const { message, keys } = await post("/api/keys/import", { text: env.value });
    env.value = "";
    await preview();
    toast(`${message}${keys.length ? " Testing them …" : ""}`, { bad: !keys.length });
    await refresh();
    await inTurns(keys.map(([provider, key]) => () => post(`/api/keys/${provider}/${key}/check`)));
    await refresh();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    complain(importForm, "#env-said", error.message);
  }
});

/** A few at a time. @param {(() => Promise<unknown>)[]} jobs */
async function inTurns(jobs) {
  const queue = [...jobs];
  const worker = async () => {
    for (let job = queue.shift(); job; job = queue.shift()) await job().catch(() => {});
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/* ---- Endpoints ---- */

const endpoint = /** @type {HTMLFormElement} */ (find("[data-fields]"));
endpoint.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = find("button[type=submit]", endpoint);
  if (button?.getAttribute("aria-busy") === "true") return;
  for (const place of all("[data-said]", endpoint)) complain(endpoint, `#${place.id}`, "");
  button?.setAttribute("aria-busy", "true");
  try {
    const { message } = await post("/api/keys/endpoints", entries(endpoint));
    endpoint.reset();
    toast(message);
    await refresh();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.param) complain(endpoint, `[data-said="${error.param}"]`, error.message);
    else toast(error.message, { bad: true });
  } finally {
    button?.removeAttribute("aria-busy");
  }
});

/** @param {HTMLElement} root @param {string} selector @param {string} text */
function complain(root, selector, text) {
  const place = find(selector, root);
  if (!place) return;
  fill(place, text);
  place.hidden = !text;
  const input = root.querySelector(`[aria-describedby~="${place.id}"]`);
  input?.setAttribute("aria-invalid", String(Boolean(text)));
  if (text && input instanceof HTMLElement) input.focus();
}

/** @param {HTMLFormElement} of @returns {Record<string, string>} */
function entries(of) {
  const values = [...new FormData(of)].filter(([name]) => name !== "csrf_token");
  return Object.fromEntries(values.map(([name, value]) => [name, String(value).trim()]));
}
