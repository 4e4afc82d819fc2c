/** The panel "Why?": the planned route of a request, or what became of one. */

import { post } from "./lib/api.js";
import { all, fill, find, h, icon } from "./lib/dom.js";
import { duration, number, until } from "./lib/format.js";
import { tellTimes } from "./lib/live.js";

const MOST = 40;
const PIXEL =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const TOOL = {
  type: "function",
  function: { name: "look_up", parameters: { type: "object", properties: { what: { type: "string" } } } },
};

export function startWhy() {
  const panel = /** @type {HTMLElement} */ (find("#why"));
  const button = /** @type {HTMLElement} */ (find("[data-why]"));
  const answer = /** @type {HTMLElement} */ (find("[data-why-answer]"));
  const form = /** @type {HTMLFormElement} */ (find("[data-why-form]"));
  const past = /** @type {HTMLFormElement} */ (find("[data-why-past]"));

  const text = /** @type {HTMLElement} */ (form.elements.namedItem("text"));

  /** @param {boolean} open */
  const show = (open) => {
    panel.hidden = !open;
    if (open) offerFamilies();
    button.setAttribute("aria-expanded", String(open));
    // Under a finger, a field that has the focus brings up the keyboard, over the answer.
    const isRead = "past" in panel.dataset || matchMedia("(pointer: coarse)").matches;
    (!open ? button : isRead ? panel : text).focus();
  };
  let asked = 0;
  /** @param {unknown} body @param {(found: any) => Node[]} drawn */
  const tell = async (body, drawn) => {
    const own = (asked += 1);
    const found = await post("/api/route/explain", body).then(drawn, (/** @type {any} */ error) => [
      h("p", { class: "complaint" }, error.message),
    ]);
    // Of two questions at once, only the later one is of interest.
    if (own !== asked) return;
    fill(answer, ...found);
    tellTimes(answer);
  };
  const plan = () => tell(request(new FormData(form)), planned);
  /** @param {string} id */
  const lookUp = (id) => tell({ request_id: id }, (found) => [...happened(found), again(found)]);
  /** The same question today. @param {any} found */
  const again = (found) => {
    const ask = () => {
      /** @type {HTMLInputElement} */ (form.elements.namedItem("model")).value = found.model;
      // The button goes away, and what has the focus must be in the panel for Escape to shut it.
      panel.focus({ preventScroll: true });
      plan();
    };
    return h("button", { class: "button", type: "button", onclick: ask }, "Its route as of now");
  };
  const toAnswer = () => answer.scrollIntoView({ block: "nearest" });

  button.addEventListener("click", () => {
    show(panel.hidden);
    // What most want to know is asked already.
    if (!panel.hidden && !answer.hasChildNodes()) plan();
  });
  find("[data-why-close]", panel)?.addEventListener("click", () => show(false));
  panel.addEventListener("keydown", (event) => event.key === "Escape" && show(false));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    plan().then(toAnswer);
  });
  past.addEventListener("submit", (event) => {
    event.preventDefault();
    const id = String(new FormData(past).get("request_id")).trim();
    if (id) lookUp(id).then(toAnswer);
  });
  const id = new URLSearchParams(location.search).get("request");
  if (id) {
    panel.dataset.past = "";
    show(true);
    /** @type {HTMLInputElement} */ (past.elements.namedItem("request_id")).value = id;
    lookUp(id);
  }
}

/** The families by name, as models to ask for: read from the rows when they are first needed. */
function offerFamilies() {
  const offered = find("#why-models");
  const known = new Set(all("option", offered ?? undefined).map((option) => option.getAttribute("value")));
  const names = new Set(all("[data-family]").map((row) => row.dataset.family ?? ""));
  offered?.append(...[...names].filter((name) => !known.has(name)).map((value) => h("option", { value })));
}

/** @param {FormData} given */
function request(given) {
  const text = String(given.get("text") || "Hello");
  const image = { type: "image_url", image_url: { url: PIXEL } };
  const content = given.get("image") ? [{ type: "text", text }, image] : text;
  return {
    model: String(given.get("model") || "auto"),
    messages: [{ role: "user", content }],
    ...(given.get("tools") ? { tools: [TOOL] } : {}),
  };
}

/** @param {any} found @returns {Node[]} */
function planned(found) {
  const next = found.next;
  const verdict = next
    ? h("p", null, "Asked first: ", h("strong", null, next.model), next.key_label ? ` (${next.key_label})` : "")
    : h("p", null, "Nobody can be asked", found.opens_at ? [" until ", time(found.opens_at)] : "", ".");
  const facts = [
    `strategy ${found.strategy}`,
    `about ${number(found.reserved_tokens)} tokens`,
    found.needs.length ? `needs ${found.needs.join(", ").replaceAll("_", " ")}` : "",
    found.sticky ? `the conversation keeps ${found.sticky}` : "",
  ];
  const rows = found.candidates.slice(0, MOST).map(candidate);
  const more = found.candidates.length - MOST;
  return [
    verdict,
    h("p", { class: "quiet small" }, facts.filter(Boolean).join(" · ")),
    h("ol", { class: "why-plan" }, rows),
    ...(more > 0 ? [h("p", { class: "quiet small" }, `${number(more)} more behind these.`)] : []),
    ...leftOut(found.left_out),
  ];
}

/** @param {any} row */
function candidate(row) {
  const word = row.next
    ? h("span", { class: "mark", data: { state: "accent" } }, "asked first")
    : row.passed
      ? h("span", { class: "quiet small" }, "ready")
      : h("span", { class: "small" }, row.opens_at ? ["skipped, opens ", time(row.opens_at)] : "skipped");
  const gates = row.gates.map((/** @type {any} */ gate) =>
    h(
      "li",
      gate.passed ? null : { "data-shut": true },
      icon(gate.passed ? "check" : "x", 14),
      h("span", null, `${gate.gate}: ${gate.reason || "passed"}`, gate.until ? [", ", time(gate.until)] : ""),
    ),
  );
  // Who could answer as well, but is not needed, says why when asked.
  const isOpen = row.next || !row.passed;
  return h(
    "li",
    null,
    h(
      "details",
      isOpen ? { open: true } : null,
      h("summary", { class: "line" }, icon("chevron", 14), who(row), word),
      h("ul", { class: "gates" }, gates),
    ),
  );
}

/** @param {{model: string, key_label: string}} row */
const who = ({ model, key_label: key }) =>
  h("span", null, h("strong", null, model), " ", h("span", { class: "quiet small" }, key));

/** @param {any[]} groups */
function leftOut(groups) {
  if (!groups.length) return [];
  const rows = groups.map((group) =>
    h("li", null, h("span", null, `${group.models.length} of ${group.provider}: ${group.reason}`)),
  );
  return [h("p", { class: "quiet small" }, "Left out:"), h("ul", { class: "gates" }, rows)];
}

/** @param {any} found @returns {Node[]} */
function happened(found) {
  const end = found.served_by
    ? h("p", null, "Answered by ", h("strong", null, found.served_by), ` in ${duration(found.duration)}.`)
    : h("p", null, `Not answered: ${found.status}${found.error ? `, ${found.error}` : ""}.`);
  const rows = found.attempts.map((/** @type {any} */ one) => {
    const how = one.answered ? "answered" : [String(one.kind).replaceAll("_", " "), one.status].filter(Boolean).join(", ");
    const spent = `after ${duration(one.after)}, took ${duration(one.duration)}`;
    return h(
      "li",
      null,
      h("div", { class: "line" }, who(one), h("span", { class: "small" }, how)),
      h("p", { class: "quiet small" }, one.reason ? `${spent}: ${one.reason}` : spent),
    );
  });
  return [end, h("p", { class: "quiet small" }, `Asked for ${found.model}.`), h("ol", { class: "why-plan" }, rows)];
}

/** @param {number} at epoch seconds */
function time(at) {
  return h("time", { datetime: new Date(at * 1000).toISOString(), "data-until": true }, until(at));
}
