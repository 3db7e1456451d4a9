/* The number by which a node decides, as a histogram; its threshold is a line that is dragged, or moved by arrow keys. */

import { drawn, element, having, newId, say } from "./dom.js";
import { share, sum, whole } from "./format.js";

const WIDTH = 400;
const HEIGHT = 120;
const STEP = 0.01;

const PASSES = { "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b };

export class Histogram extends EventTarget {
  constructor() {
    super();
    this.picture = drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    this.line = having(element("input", "threshold"), { type: "range", min: 0, max: 1, step: STEP, id: newId("threshold") });
    this.said = element("output", "said");
    this.caption = element("figcaption", "");
    const scale = having(element("div", "scale", element("span", "", "0"), element("span", "", "0.5"), element("span", "", "1")), { "aria-hidden": "true" });
    this.node = element("figure", "histogram", this.caption, element("div", "plot", this.picture, this.line), scale, this.said);
    this.line.addEventListener("input", () => { this.isHeld = true; this.draw(); });
    this.line.addEventListener("change", () => this.dropped());
  }

  /** `node` is a node of a back-test's report. */
  show(node) {
    this.of = node;
    this.isHeld = false;
    this.line.value = node.histogram.threshold;
    this.line.setAttribute("aria-label", `Threshold of ${node.workflow}/${node.node}: ${node.histogram.value}`);
    this.caption.replaceChildren(element("b", "", node.node), ` ${node.histogram.value}, kept ${node.histogram.keeps} the line`);
    this.draw();
  }

  get threshold() {
    return this.isHeld ? Number(this.line.value) : this.of.histogram.threshold;
  }

  draw() {
    const { bins, keeps, low, high } = this.of.histogram;
    const most = Math.max(...bins, 1);
    const step = WIDTH / bins.length;
    const isKept = (index) => PASSES[keeps](low + ((index + 0.5) / bins.length) * (high - low), this.threshold);
    this.picture.replaceChildren(...bins.map((count, index) => {
      const height = count ? Math.max((count / most) * (HEIGHT - 6), 2) : 0;
      return drawn("rect", { x: index * step + 1, y: HEIGHT - height, width: step - 2, height, class: isKept(index) ? "kept" : "" });
    }));
    const kept = sum(bins.filter((_, index) => isKept(index)));
    const part = share(kept / Math.max(sum(bins), 1));
    const text = `${keeps} ${this.threshold}: ${this.isHeld ? "about " : ""}${whole(kept)} of ${whole(sum(bins))}, ${part}`;
    say(this.said, text);
    this.line.setAttribute("aria-valuetext", text);
  }

  dropped() {
    const threshold = Number(this.line.value);
    const { workflow, node, histogram } = this.of;
    if (threshold === histogram.threshold) return;
    this.dispatchEvent(new CustomEvent("moved", { detail: { workflow, node, old: histogram.threshold, threshold } }));
  }
}
