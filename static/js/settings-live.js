/** Following what another tab, or the command line, has changed. */

import { get, send } from "./lib/api.js";
import { all, find } from "./lib/dom.js";
import { poll, tellTimes } from "./lib/live.js";
import { toast } from "./lib/toast.js";

/** So that another tab's change is seen within two seconds. */
const LOOK_SECONDS = 1.2;

let known = find(".settings")?.dataset.version ?? "";
/** Changes of this tab that are under way: what they lead to is not news. */
let own = 0;

/** A field that somebody is in the middle of. @param {HTMLElement} region */
function isHeld(region) {
  if (region.getAttribute("aria-busy") === "true") return true;
  const inputs = /** @type {HTMLInputElement[]} */ (all("input.input", region));
  if ("proxy" in region.dataset) return inputs.some((input) => input.value !== input.defaultValue);
  return Boolean(region.dataset.setting && inputs.some((input) => input.value !== region.dataset.value));
}

/**
 * Make a change, and show what came of it.
 * @template T
 * @param {() => Promise<T>} change
 * @returns {Promise<T>}
 */
export async function changing(change) {
  own += 1;
  try {
    const answer = await change();
    await renew().catch(() => false);
    return answer;
  } finally {
    own -= 1;
  }
}

/**
 * Put the regions of the page that are another way by now in the place of what is shown.
 * @returns {Promise<boolean>} whether there were any
 */
async function renew() {
  known = (await get("/api/settings/version")).version;
  const page = await (await send("GET", "/settings")).text();
  const fresh = new DOMParser().parseFromString(page, "text/html");
  const stale = all("[data-live]").filter((region) => {
    const wanted = fresh.getElementById(region.id);
    return wanted && wanted.dataset.mark !== region.dataset.mark && !isHeld(region);
  });
  for (const region of stale) put(region, /** @type {HTMLElement} */ (fresh.getElementById(region.id)));
  tellTimes();
  return stale.length > 0;
}

/** @param {HTMLElement} region @param {HTMLElement} wanted */
function put(region, wanted) {
  const focused = region.contains(document.activeElement) ? document.activeElement?.id : "";
  region.replaceWith(document.adoptNode(wanted));
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

/** Look every second whether anything was written. */
export function follow() {
  poll("/api/settings/version", LOOK_SECONDS, async ({ version }) => {
    if (own || version === known) return;
    const changed = await renew().catch(() => false);
    if (changed) toast("Settings were changed elsewhere. You see them as they are now.");
  });
}
