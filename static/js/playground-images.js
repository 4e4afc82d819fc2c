/**
 * Images beside a message: chosen, pasted or dropped, and made small enough to send and keep.
 * @module
 */

import { fill, h, icon } from "./lib/dom.js";
import { toast } from "./lib/toast.js";

const KINDS = ["image/png", "image/jpeg", "image/webp", "image/gif"];
const LONGEST_SIDE = 1568;
/** Characters of a data URL that is left as it is. */
const SMALL = 400_000;
const QUALITY = 0.85;

/**
 * @param {HTMLElement} field where images are pasted and dropped
 * @param {HTMLElement | null} chooser
 * @param {(url: string) => void} add
 */
export function attach(field, chooser, add) {
  const take = async (/** @type {Iterable<File>} */ files) => {
    for (const file of files) {
      if (!KINDS.includes(file.type)) {
        toast(`${file.name || "That"} is no PNG, JPEG, WebP or GIF image.`, { bad: true });
        continue;
      }
      try {
        add(await smaller(await dataUrl(file)));
      } catch {
        toast(`${file.name || "The image"} cannot be read as an image.`, { bad: true });
      }
    }
  };
  chooser?.addEventListener("change", () => {
    const input = /** @type {HTMLInputElement} */ (chooser);
    take([...(input.files ?? [])]);
    input.value = "";
  });
  field.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    take(files);
  });
  field.addEventListener("dragover", (event) => event.preventDefault());
  field.addEventListener("drop", (event) => {
    const files = [...(event.dataTransfer?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    take(files);
  });
}

/**
 * @param {HTMLElement} place
 * @param {string[]} urls
 * @param {() => void} changed
 */
export function thumbnails(place, urls, changed) {
  place.hidden = urls.length === 0;
  fill(
    place,
    urls.map((src, i) => {
      const props = { class: "button", type: "button", data: { size: "icon" }, "aria-label": `Remove image ${i + 1}` };
      const away = h("button", props, icon("x", 12));
      away.addEventListener("click", () => {
        urls.splice(i, 1);
        changed();
      });
      return h("div", { class: "pg-image" }, h("img", { src, alt: `Image ${i + 1}` }), away);
    }),
  );
}

/** @param {Blob} file @returns {Promise<string>} */
function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

/** @param {string} url @returns {Promise<string>} the image, no larger than models look at it */
async function smaller(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  const longest = Math.max(image.naturalWidth, image.naturalHeight);
  if (url.length <= SMALL && longest <= LONGEST_SIDE) return url;
  const scale = Math.min(1, LONGEST_SIDE / longest);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(image.naturalWidth * scale));
  canvas.height = Math.max(1, Math.round(image.naturalHeight * scale));
  const context = canvas.getContext("2d");
  if (!context) return url;
  // JPEG knows no transparency: what was clear becomes white rather than black.
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", QUALITY);
}
