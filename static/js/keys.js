/** The page Keys: what its buttons do at once, and the list kept true. */

import { ApiError, post } from "./lib/api.js";
import { find, on } from "./lib/dom.js";
import { addToPalette } from "./lib/palette.js";
import { toast } from "./lib/toast.js";
import { chooseProvider } from "./keys-add.js";
import { followHash, refresh, watch } from "./keys-live.js";
import "./keys-unified.js";

const act = /** @type {HTMLFormElement} */ (find("#act"));

// Every button of a row submits this one form to an address of its own.
act.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = /** @type {HTMLButtonElement | null} */ (event.submitter);
  if (!button || button.getAttribute("aria-busy") === "true") return;
  const path = new URL(button.formAction).pathname;
  button.setAttribute("aria-busy", "true");
  try {
    await doIt(path);
  } finally {
    button.removeAttribute("aria-busy");
  }
});

/** @param {string} path */
async function doIt(path) {
  try {
    const { message, status, bad } = await post(path);
    const undo = inverse(path);
    const isBad = Boolean(bad) || (status !== undefined && status !== "healthy");
    toast(message, { undo: undo ? () => doIt(undo) : undefined, bad: isBad });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    toast(error.message, { bad: true });
  }
  await refresh();
}

/** What takes it back, if anything does. @param {string} path */
function inverse(path) {
  /** @type {Record<string, string>} */
  const pairs = { remove: "restore", disable: "enable", enable: "disable" };
  const verb = path.slice(path.lastIndexOf("/") + 1);
  return verb in pairs ? path.replace(/\/\w+$/, `/${pairs[verb]}`) : null;
}

on(document, "click", "[data-opens]", (event, link) => {
  event.preventDefault();
  open(link.dataset.opens ?? "");
});
on(document, "click", "[data-add-for]", (event, link) => {
  event.preventDefault();
  chooseProvider(link.dataset.addFor ?? "");
});
on(document, "click", "#steps a", (event, link) => {
  event.preventDefault();
  const target = link.getAttribute("href") ?? "";
  if (target === "#add") open("add");
  else if (target === "#unified-title") find('[data-unified-menu="reveal"] > summary')?.click();
  else find("#snippet-curl")?.parentElement?.focus();
});

/** @param {string} id */
function open(id) {
  const place = find(`#${id}`);
  if (place instanceof HTMLDetailsElement) place.open = true;
  place?.scrollIntoView({ block: "center" });
  find(id === "import" ? "#env" : id === "endpoint" ? "#endpoint-base_url" : "#key")?.focus();
}

addToPalette(
  { kind: "Action", label: "Add a key", run: () => open("add") },
  { kind: "Action", label: "Import a .env", run: () => open("import") },
  { kind: "Action", label: "Add an endpoint of your own", run: () => open("endpoint") },
  { kind: "Action", label: "Check all keys", run: () => doIt("/api/keys/check-all") },
);

watch();
followHash();
addEventListener("hashchange", followHash);
