/* One input's whole story: what was asked, what was answered, how it was judged, where it went. */

import { askJson, idOf, placeOf } from "./api.js";
import { conceptBar, shown, topFirst } from "./content.js";
import { element, link, say, title } from "./dom.js";
import { clock, latency } from "./format.js";

const OWN = new Set(["model_output", "workflow_output", "headers", "query"]);
const CONCEPTS = 10;

/** Names with what they are; blank ones are left out. */
function facts(pairs) {
  const shownPairs = pairs.filter(([, value]) => value !== undefined && value !== null && value !== "" );
  return element("dl", "facts", ...shownPairs.flatMap(([name, value]) => [element("dt", "", name), element("dd", "", plain(value))]));
}

const plain = (value) => (value instanceof Node ? value : typeof value === "object" ? JSON.stringify(value) : String(value));

function output(data) {
  if (!data) return null;
  const { concepts, ...rest } = data;
  const bars = topFirst(concepts).slice(0, CONCEPTS).map((concept) => conceptBar(concept, ""));
  const others = Object.keys(rest).length ? element("pre", "json", JSON.stringify(rest, null, 2)) : null;
  return element("div", "", ...bars, others);
}

function part(heading, ...content) {
  return element("section", "sum", element("h3", "", heading), ...content);
}

class Story {
  constructor(key) {
    this.key = key;
    this.head = title(`Input ${idOf(key).slice(0, 12)}`, "", link("All inputs", "#/inputs", "button quiet"));
    this.body = element("div", "story");
    this.nodes = [this.head, this.body];
  }

  async refresh() {
    if (this.input) return;
    try {
      this.input = (await askJson(`${placeOf(this.key, "inputs")}/${encodeURIComponent(idOf(this.key))}`)).input;
    } catch (error) {
      if (error.status !== 404) throw error;
      this.body.replaceChildren(element("div", "empty", "This input is not there, or no longer."));
      return;
    }
    this.show(this.input);
  }

  show(input) {
    const metadata = input.data?.metadata || {};
    say(this.head.querySelector("p"), `${input.id}, kept ${clock(input.created_at)}`);
    const own = input.data?.concepts?.length ? output({ concepts: input.data.concepts }) : null;
    this.body.replaceChildren(
      element("section", "sum whole", element("div", "shown", shown(input, true))),
      element("div", "chapters",
        part("Asked", this.request(input, metadata)),
        part("Answered", this.answer(metadata), output(metadata.model_output) || own || element("p", "note", "The model's output was not kept: the collector has collect_outputs off.")),
        part("Judged", ...this.verdicts(input, metadata)),
        part("Delivered", facts([["to", "the embedded app"], ["as", input.id], ["at", clock(input.created_at)]])),
        part("All of it", this.source(input))),
    );
  }

  request(input, metadata) {
    const headers = Object.entries(metadata.headers || {}).map(([name, value]) => [name, value]);
    const query = Object.entries(metadata.query || {}).map(([name, value]) => [`?${name}`, value]);
    const others = Object.entries(metadata).filter(([name]) => !OWN.has(name) && !["caller", "model", "version", "path", "status", "latency_ms"].includes(name));
    return facts([["caller", input.caller], ["model", input.model], ["version", input.version], ["path", metadata.path], ...query, ...headers, ...others]);
  }

  answer(metadata) {
    return facts([["status", metadata.status], ["latency", metadata.latency_ms ? latency(metadata.latency_ms) : ""]]);
  }

  verdicts(input, metadata) {
    if (!input.collector) return [element("p", "note", "Posted by hand or by another sidecar: no collector of this one judged it.")];
    const address = `#/collector/${encodeURIComponent(input.collector)}`;
    const kept = facts([["collector", link(input.collector, address)], ["verdict", "kept"]]);
    const later = metadata.workflow_output ? [element("p", "note", "What the post-queue workflow gave:"), output(metadata.workflow_output)] : [];
    return [kept, ...later];
  }

  source(input) {
    const text = JSON.stringify(input, null, 2);
    const shownText = text.length > 50000 ? `${text.slice(0, 50000)}\n…` : text;
    return element("details", "", element("summary", "", "As JSON"), element("pre", "json", shownText));
  }
}

export const open = (key) => new Story(key);
