/* Shows what was captured: images as images, text as text, tensors as pictures and lines. Anybody's text, never markup. */

import { dataAddress, hasToken } from "./api.js";
import { line, plot } from "./draw.js";
import { element, having } from "./dom.js";
import { bytes, whole } from "./format.js";

const TINY_PIXELS = 64;
const SHORT = 180;
const LONG = 20000;

function picture(input) {
  const image = having(element("img"), { alt: `input ${input.id}`, loading: "lazy", decoding: "async" });
  image.onload = () => image.classList.toggle("tiny", image.naturalWidth <= TINY_PIXELS);
  image.onerror = () => image.replaceWith(element("pre", "", `${input.media_type}\n${bytes(input.content_bytes)}\ncannot be shown`));
  if (hasToken()) whenSeen(image, () => dataAddress(input.content_url).then((address) => { image.src = address; }, image.onerror));
  else image.src = input.content_url;
  return image;
}

/** Calls `act` once `node` comes near what is seen: where a token is needed the browser cannot load lazily by itself. */
function whenSeen(node, act) {
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    act();
  }, { rootMargin: "400px" });
  observer.observe(node);
}

function describe(tensor, most) {
  const shape = tensor.shape?.length ? ` [${tensor.shape.join(" × ")}]` : "";
  const head = [tensor.name, tensor.datatype].filter(Boolean).join(" ") + shape;
  const value = JSON.stringify(tensor.value) ?? "";
  const shown = value.length > most ? `${value.slice(0, most)} …` : value;
  return head.trim() ? `${head.trim()}\n${shown}` : shown;
}

function numbersOf(tensor) {
  const values = Array.isArray(tensor.value) ? tensor.value.flat(8) : [];
  return values.length > 3 && values.every(Number.isFinite) ? values : null;
}

/** A list of one is as good as what it holds. */
const textOf = (value) => (Array.isArray(value) && value.length === 1 ? value[0] : value);

function drawing(tensor) {
  const values = numbersOf(tensor);
  if (!values) return null;
  const name = tensor.name || "tensor";
  const isPicture = values.every((value) => value >= 0);
  return (isPicture && plot(values, `${name}: ${whole(values.length)} numbers, drawn as a picture`, TINY_PIXELS))
    || line(values, `${name}: ${whole(values.length)} numbers, drawn as a line`);
}

function tensors(list, most) {
  const drawings = list.map(drawing);
  if (list.length === 1 && drawings[0] && most === SHORT) return drawings[0];
  return element("div", "tensors", ...list.flatMap((tensor, index) => [drawings[index], element("pre", "", describe(tensor, most))]));
}

/** The content of `input`: at a glance, or whole. */
export function shown(input, isWhole = false) {
  const data = input.data || {};
  const most = isWhole ? LONG : SHORT;
  if (input.content_url && input.media_type?.startsWith("image/")) return picture(input);
  if (input.content_url) return element("pre", "", `${input.media_type}\n${bytes(input.content_bytes)}`);
  if (data.text) return element("blockquote", "", (data.text.raw || data.text.url || "").slice(0, isWhole ? LONG : 600));
  if (data.tensors?.length === 1 && typeof textOf(data.tensors[0].value) === "string") return element("blockquote", "", textOf(data.tensors[0].value).slice(0, isWhole ? LONG : 600));
  if (data.tensors?.length) return tensors(data.tensors, most);
  const media = data.image || data.video || data.audio;
  if (media?.url) return element("pre", "", media.url);
  if (media?.content_bytes) return element("pre", "", `${bytes(media.content_bytes)}\nshown once it is in the app`);
  if (data.raw) return element("pre", "", `${data.raw.media_type || "raw body"}\n${bytes(data.raw.content_bytes ?? Math.floor((data.raw.base64.length * 3) / 4))}`);
  if (data.concepts?.length) return element("pre", "", data.concepts.map((each) => each.name || each.id).join("\n"));
  return element("pre", "", JSON.stringify(data.metadata || {}, null, 1).slice(0, most * 2));
}

export const topFirst = (found) => [...(found || [])].sort((a, b) => b.value - a.value);

/** A concept with its probability as a bar. */
export function conceptBar(concept, whose) {
  const meter = having(element("meter"), { "aria-hidden": "true" });
  meter.value = concept.value;
  const label = element("span", "", concept.name || concept.id);
  if (whose) label.append(" ", element("small", "", whose));
  label.title = concept.id;
  return element("div", "concept", label, element("span", "", `${(concept.value * 100).toFixed(1)} %`), meter);
}

/** The model's own concepts, wherever they stand. */
export function conceptsOf(data) {
  const own = data?.concepts?.length ? data.concepts : data?.metadata?.model_output?.concepts;
  return topFirst(own || data?.metadata?.workflow_output?.concepts);
}
