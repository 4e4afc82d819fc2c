/**
 * Keeping what is shown true: asking again in turns, and times that move on.
 * @module
 */

import { get } from "./api.js";
import { all, on } from "./dom.js";
import { ago, moment, until } from "./format.js";

/**
 * Ask for `url` every so many seconds, at once to begin with, and hand over each answer. Rests while
 * the tab is hidden, and asks at once when it is seen again.
 * @param {string | (() => string)} url
 * @param {number} seconds
 * @param {(answer: any) => void} callback
 * @param {{now?: boolean}} [options] `now: false` waits a turn, when the page holds the first answer
 * @returns {{stop: () => void, refresh: () => Promise<void>}}
 */
export function poll(url, seconds, callback, { now = true } = {}) {
  let timer = 0;
  let stopped = false;
  /** @type {AbortController | null} */
  let asking = null;

  const refresh = async () => {
    clearTimeout(timer);
    asking?.abort();
    const own = (asking = new AbortController());
    try {
      const answer = await get(typeof url === "function" ? url() : url, { signal: own.signal });
      if (!stopped && !own.signal.aborted) callback(answer);
    } catch (error) {
      if (!own.signal.aborted) console.warn(`${url}:`, error);
    }
    if (own === asking) plan();
  };
  const plan = () => {
    clearTimeout(timer);
    if (!stopped && !document.hidden) timer = setTimeout(refresh, seconds * 1000);
  };
  const onVisibility = () => {
    if (!document.hidden) return void refresh();
    clearTimeout(timer);
    asking?.abort();
  };
  const stop = () => {
    stopped = true;
    clearTimeout(timer);
    asking?.abort();
    document.removeEventListener("visibilitychange", onVisibility);
  };
  document.addEventListener("visibilitychange", onVisibility);
  if (now && !document.hidden) refresh();
  else plan();
  return { stop, refresh };
}

/** Words for every `<time data-ago>` and `<time data-until>`.
 * @param {ParentNode} [root]
 */
export function tellTimes(root = document) {
  const now = Date.now() / 1000;
  for (const element of all("time[data-ago], time[data-until]", root)) {
    const at = Date.parse(element.getAttribute("datetime") ?? "") / 1000;
    if (Number.isNaN(at)) continue;
    const text = "ago" in element.dataset ? ago(at, now) : until(at, now);
    if (element.textContent !== text) element.textContent = text;
  }
}

// In the viewer's zone from when it is pointed at: for all times at once that would hold the page up.
on(document, "pointerover", "time[data-ago], time[data-until], time[data-at]", (_event, element) => {
  const at = Date.parse(element.getAttribute("datetime") ?? "") / 1000;
  if (Number.isNaN(at)) return;
  element.title = "at" in element.dataset ? `${ago(at)}, ${moment(at)}` : moment(at);
});
