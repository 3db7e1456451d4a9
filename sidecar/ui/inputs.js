/* What was kept: a gallery, newest first, narrowed by collector, caller, concept, probability and words, page by page. */

import { askJson, placeOf } from "./api.js";
import { conceptBar, conceptsOf, shown, topFirst } from "./content.js";
import { button, element, empty, having, keep, say, settled, title } from "./dom.js";
import { textFilter } from "./filters.js";
import { ago, clock } from "./format.js";
import { tell } from "./notices.js";
import { Paged } from "./paged.js";

const PAGE = 28;
const LABELS = { collector: "Collector", caller: "Caller", concept: "Concept", text: "Words" };

// Where the model's own answer is kept beside a workflow's, the top of each; else the two likeliest concepts.
function opinions(data) {
  const [model] = topFirst(data?.metadata?.model_output?.concepts);
  const [workflow] = topFirst(data?.metadata?.workflow_output?.concepts);
  if (model && workflow) return [[model, "model"], [workflow, "workflow"]];
  return conceptsOf(data).slice(0, 2).map((concept) => [concept, ""]);
}

function card(input, key) {
  const model = [input.model, input.version && `v${input.version}`].filter(Boolean).join(" ");
  const from = element("p", "from", element("b", "", input.caller || "unknown caller"), element("span", "", model));
  from.title = from.textContent;
  const when = having(element("time", ""), { datetime: input.created_at, title: clock(input.created_at) });
  const kept = having(element("p", "from", element("span", "", input.collector || "posted"), when), { title: input.id });
  const bars = opinions(input.data).map(([concept, whose]) => conceptBar(concept, whose));
  const link = having(element("a", "input new", element("div", "shown", shown(input)), element("div", "about", ...bars, from, kept)), {
    href: `#/input/${encodeURIComponent(key)}`,
    "aria-label": `Input of ${input.caller || "an unknown caller"}, kept by ${input.collector || "nobody"}`,
  });
  return element("li", "", link);
}

function numberField(label, value, placeholder) {
  return having(element("input", ""), { type: "number", min: 0, max: 1, step: 0.05, value, placeholder, "aria-label": label });
}

class Gallery {
  constructor(query) {
    const given = (name) => query.get(name) || "";
    this.texts = Object.fromEntries(Object.keys(LABELS).map((name) => [name, textFilter(LABELS[name], given(name))]));
    this.least = numberField("least probability", given("least"), "0");
    this.most = numberField("largest probability", given("most"), "1");
    const range = element("span", "range", this.least, " to ", this.most);
    this.range = element("div", "probability", element("span", "", "Probability"), range);
    const { collector, caller, concept, text } = this.texts;
    this.bar = element("div", "filters", collector.node, caller.node, concept.node, this.range, text.node);
    this.bar.addEventListener("input", settled(250, () => this.restart()));
    this.cards = new Map();
    this.paged = new Paged((before) => this.page(before));
    this.list = element("ul", "gallery");
    this.note = element("p", "note");
    this.none = empty(element("p", ""), this.note);
    this.pager = element("p", "pager", button("Show more", "quiet", () => this.more()));
    this.pager.hidden = true;
    this.nodes = [title("Inputs", "What was kept, newest first."), this.bar, this.list, this.none, this.pager];
    this.allowRange();
  }

  /** What is asked for; a probability is one of a concept. */
  get wish() {
    const values = Object.fromEntries(Object.entries(this.texts).map(([name, { value }]) => [name, value]));
    const range = values.concept ? { least: this.least.value, most: this.most.value } : {};
    return Object.entries({ ...values, ...range }).filter(([, value]) => value);
  }

  allowRange() {
    this.least.disabled = this.most.disabled = !this.texts.concept.value;
    this.range.title = this.least.disabled ? "Name a concept first." : "";
  }

  restart() {
    this.allowRange();
    const query = new URLSearchParams(this.wish);
    history.replaceState(null, "", `#/inputs${query.size ? `?${query}` : ""}`);
    this.paged.clear();
    return this.refresh().catch((error) => tell(error.message, "bad"));
  }

  async refresh() {
    if (!this.isOffered) await this.offer();
    const wish = String(new URLSearchParams(this.wish));
    if (!await this.paged.refresh(() => wish === String(new URLSearchParams(this.wish)))) return;
    this.show();
  }

  async more() {
    await this.paged.more();
    this.show();
  }

  async page(before) {
    const asked = new URLSearchParams([["per_page", PAGE], ...this.wish, ...(before ? [["before", before]] : [])]);
    const { inputs, next_before: following } = await askJson(`${placeOf(this.texts.collector.value, "inputs")}?${asked}`);
    return [inputs, following];
  }

  async offer() {
    this.isOffered = true;
    const [{ collectors }, { sources }] = await Promise.all([askJson("/v1/collectors"), askJson("/v1/traffic")]);
    const names = { collector: collectors.map((each) => each.key), caller: sources.map((each) => each.caller) };
    for (const [name, values] of Object.entries(names)) {
      this.texts[name].offer(values);
    }
  }

  show() {
    const prefix = this.texts.collector.value.split("/").slice(0, -1);
    const keys = this.paged.items.map((input) => [...prefix, input.id].join("/"));
    const shownKeys = new Set(keys);
    for (const key of this.cards.keys()) if (!shownKeys.has(key)) this.cards.delete(key);
    keep(this.list, this.paged.items.map((input, index) => {
      if (!this.cards.has(keys[index])) this.cards.set(keys[index], card(input, keys[index]));
      return this.cards.get(keys[index]);
    }));
    for (const time of this.list.querySelectorAll("time")) say(time, ago(time.dateTime));
    this.offerConcepts();
    this.none.hidden = this.paged.items.length > 0;
    say(this.none.firstElementChild, this.wish.length ? "Nothing matches." : "Nothing here yet.");
    say(this.note, this.wish.length ? "" : "Inputs show up as soon as a collector keeps one and its destination is the embedded app.");
    this.pager.hidden = !this.paged.following;
  }

  offerConcepts() {
    const names = this.paged.items.flatMap((input) => conceptsOf(input.data).map((each) => each.id));
    this.texts.concept.offer([...new Set(names)].sort().slice(0, 200));
  }
}

export const open = (_rest, query) => new Gallery(query);
