/**
 * The menu of the conversations that this browser keeps.
 * @module
 */

import { all, fill, find, h, icon, on } from "./lib/dom.js";
import { ago } from "./lib/format.js";
import { addToPalette } from "./lib/palette.js";
import { toast } from "./lib/toast.js";
import { text } from "./playground-composer.js";
import { desk, open, remove, save } from "./playground-desk.js";
import * as store from "./playground-store.js";
import { toEnd } from "./playground-turns.js";

/** @typedef {import("./playground-store.js").Conversation} Conversation */

function list() {
  const place = find("[data-talk-list]");
  if (!place) return;
  save();
  const rows = store.list().map(row);
  fill(place, rows.length ? rows : h("p", { class: "quiet pg-none" }, "Nothing here yet. Conversations stay in this browser."));
}

/** @param {Conversation} one */
function row(one) {
  const title = store.title(one);
  const item = h(
    "button",
    { class: "menu-item", type: "button", "aria-pressed": one.id === desk.talk.id ? "true" : null },
    h("span", { class: "pg-title" }, title),
    h("span", { class: "quiet small" }, ago(one.at)),
  );
  item.addEventListener("click", () => one.id !== desk.talk.id && lay(one));
  const label = `Delete: ${title}`;
  const away = h("button", { class: "button", type: "button", data: { kind: "plain", size: "icon" }, "aria-label": label, title: "Delete" }, icon("trash"));
  away.addEventListener("click", (event) => {
    event.stopPropagation();
    const undo = remove(one.id === desk.talk.id ? desk.talk : one);
    list();
    toast(`Deleted: ${title}`, { undo });
  });
  return h("div", { class: "pg-talk" }, item, away);
}

/** @param {Conversation} next */
function lay(next) {
  open(next);
  toEnd();
  text.focus();
}

const startNew = () => lay(store.fresh(desk.talk.options));

on(document, "click", "[data-new]", startNew);
find("[data-talks]")?.addEventListener("toggle", list);
for (const one of all("[data-talks] summary")) one.setAttribute("aria-label", "Conversations in this browser");
addToPalette({ kind: "Action", label: "New conversation", run: startNew });
