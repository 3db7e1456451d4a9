/* What a draft would have kept of the calls that were recorded, or of what waits or was kept: a back-test, live. */

import { change } from "./api.js";
import { element, having, keep, say } from "./dom.js";
import { choice } from "./fields.js";
import { share, short, whole, words } from "./format.js";
import { Histogram } from "./histogram.js";
import { Recording } from "./recording.js";

const LIMIT = 1000;
const ENOUGH_SECONDS = 60;
const SOURCES = [["recent", "the recording"], ["app", "what was kept"], ["queue", "what waits"]];

/** How many are kept; from to, where some hang on a model that is not asked. */
const keptOf = ({ kept, unknown }) => (unknown ? `${whole(kept)} to ${whole(kept + unknown)}` : whole(kept));

export class Preview extends EventTarget {
  constructor() {
    super();
    this.source = choice("Tried on", "", SOURCES);
    this.source.control.addEventListener("change", () => this.again());
    this.recording = new Recording("");
    this.recording.node.addEventListener("changed", () => this.again());
    this.answer = having(element("p", "answer"), { "aria-live": "polite" });
    this.about = element("p", "note");
    this.histograms = new Map();
    this.figures = element("div", "figures");
    this.nodes = element("ol", "steps");
    this.callers = element("ul", "callers");
    this.node = having(element("aside", "preview", element("h3", "", "What it would have kept"), this.source.node, this.recording.node,
      this.answer, this.about, this.figures, this.nodes, this.callers), { "aria-label": "What it would have kept" });
    this.turn = 0;
  }

  /** How far the recording is; the draft is tried again while it grows. */
  async refresh() {
    const { kept } = await this.recording.refresh();
    if (this.draft && this.source.value === "recent" && kept !== this.kept) await this.again();
    this.kept = kept;
  }

  /** Try this draft; null while it has a fault. */
  async show(draft) {
    this.draft = draft;
    await this.again();
  }

  async again() {
    this.turn += 1;
    const mine = this.turn;
    this.recording.node.hidden = this.source.value !== "recent";
    if (!this.draft) return this.clear("Once the draft has no fault, it is tried on real calls.");
    try {
      const found = await change("POST", "/v1/backtest", { ...this.draft, source: this.source.value, limit: LIMIT });
      if (mine === this.turn) this.tell(found);
    } catch (error) {
      if (mine === this.turn) this.clear(error.message);
    }
  }

  clear(text) {
    say(this.answer, "");
    say(this.about, text);
    for (const each of [this.figures, this.nodes, this.callers]) each.replaceChildren();
  }

  tell(found) {
    const { exchanges, inputs } = found;
    if (!exchanges.read) return this.clear(this.source.value === "recent" ? "No call is recorded yet." : "There is nothing to try it on.");
    const one = exchanges.read === 1 ? "call" : `${whole(exchanges.read)} calls`;
    const sentence = [`Of the last ${one} this would have kept `, element("b", "", keptOf(inputs))];
    if (inputs.matched !== exchanges.read) sentence.push(` of ${whole(inputs.matched)} inputs`);
    if (this.answer.textContent !== sentence.map((each) => each.textContent ?? each).join("")) this.answer.replaceChildren(...sentence);
    say(this.about, this.aside(found));
    this.showHistograms(found.nodes.filter((node) => node.histogram));
    this.nodes.replaceChildren(...found.nodes.map((node) => this.step(node)));
    const callers = Object.entries(found.callers).slice(0, 8);
    this.callers.replaceChildren(...callers.map(([name, counts]) =>
      element("li", "", element("span", "", name), element("span", "", `${whole(counts.kept)} of ${whole(counts.matched)}`))));
  }

  aside({ inputs, kept_per_day: daily, span_seconds: span, is_whole: isWhole, left_out: leftOut }) {
    const dropped = Object.entries(inputs.dropped || {}).map(([reason, { count, detail }]) => `${whole(count)} dropped: ${detail || words(reason)}.`);
    return [
      inputs.matched ? `${share(inputs.kept / inputs.matched)} of what matches.` : "No call of that model, version and caller is among them.",
      daily && span > ENOUGH_SECONDS ? `About ${short(Math.round(daily))} a day.` : "",
      inputs.unknown ? `${whole(inputs.unknown)} hang on a model that is not asked here.` : "",
      ...dropped,
      leftOut ? `${whole(leftOut)} could not be redacted and were left out.` : "",
      isWhole ? "" : "Time was up before the end.",
    ].filter(Boolean).join(" ");
  }

  step(node) {
    const name = node.operator === node.node ? words(node.node) : `${node.node} (${node.operator})`;
    return element("li", "", element("span", "", name), element("span", "", `${whole(node.in)} → ${whole(node.out)}`));
  }

  showHistograms(nodes) {
    const shown = nodes.map((node) => {
      const key = node.node;
      if (!this.histograms.has(key)) {
        const made = new Histogram();
        made.addEventListener("moved", ({ detail }) => this.dispatchEvent(new CustomEvent("moved", { detail })));
        this.histograms.set(key, made);
      }
      this.histograms.get(key).show(node);
      return this.histograms.get(key).node;
    });
    keep(this.figures, shown);
  }
}
