/* Draws counts over time, values in order, and sums in parts. Colours come from the style sheet. */

import { drawn, element, having } from "./dom.js";
import { whole } from "./format.js";

const WIDTH = 120;
const HEIGHT = 28;

/** Counts as bars over time, the newest at the right. */
export function bars(counts, label) {
  const picture = drawn("svg", { class: "bars", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  showBars(picture, counts, label);
  return picture;
}

export function showBars(picture, counts, label) {
  const signature = counts.join();
  if (picture.getAttribute("aria-label") !== label) picture.setAttribute("aria-label", label);
  if (picture.dataset.counts === signature) return;
  picture.dataset.counts = signature;
  const most = Math.max(...counts, 1);
  const step = WIDTH / Math.max(counts.length, 1);
  const shapes = counts.map((count, index) => {
    const height = count ? Math.max((count / most) * (HEIGHT - 1), 1.5) : 0.5;
    return drawn("rect", { x: index * step, y: HEIGHT - height, width: Math.max(step - 0.5, 0.5), height, class: count ? "" : "none" });
  });
  picture.replaceChildren(...shapes);
}

/** Numbers in their order, as a line: what a tensor looks like. */
export function line(values, label) {
  const most = 400;
  const every = Math.max(1, Math.ceil(values.length / most));
  const shown = values.filter((_, index) => index % every === 0);
  const low = Math.min(...shown);
  const range = Math.max(...shown) - low || 1;
  const points = shown.map((value, index) => {
    const x = shown.length > 1 ? (index / (shown.length - 1)) * 100 : 50;
    return `${x.toFixed(2)},${(38 - ((value - low) / range) * 36).toFixed(2)}`;
  });
  const shape = drawn("polyline", { points: points.join(" "), "vector-effect": "non-scaling-stroke" });
  return drawn("svg", { class: "line", viewBox: "0 0 100 40", preserveAspectRatio: "none", role: "img", "aria-label": label }, shape);
}

/** A sum as one bar of parts: [name, count]; the parts are coloured by their name. */
export function parts(label) {
  return having(element("div", "parts"), { role: "img", "aria-label": label });
}

export function showParts(bar, counts) {
  const total = counts.reduce((all, [, count]) => all + count, 0);
  const shown = counts.filter(([, count]) => count > 0);
  bar.replaceChildren(...shown.map(([name, count]) => {
    const part = element("span", `part ${name}`);
    part.style.flexGrow = count / total;
    part.title = `${name} ${whole(count)}`;
    return part;
  }));
  bar.setAttribute("aria-label", shown.map(([name, count]) => `${name} ${whole(count)}`).join(", ") || "nothing yet");
}

/** A square of numbers as a grey picture: what a small image looks like when it travels as a tensor; else null. */
export function plot(values, label, most) {
  const side = Math.sqrt(values.length);
  if (side < 4 || side > most || !Number.isInteger(side)) return null;
  const low = Math.min(...values);
  const range = Math.max(...values) - low || 1;
  const canvas = having(element("canvas", "tiny"), { role: "img", "aria-label": label });
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(side, side);
  values.forEach((value, index) => {
    const grey = Math.round(((value - low) / range) * 255);
    pixels.data.set([grey, grey, grey, 255], index * 4);
  });
  context.putImageData(pixels, 0, 0);
  return canvas;
}
