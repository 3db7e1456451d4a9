/* What was kept: a gallery, newest first, narrowed by collector, caller, concept and probability; a page at a time. */

import { askJson, placeOf } from "./api.js";
import { conceptBar, conceptsOf, shown, topFirst } from "./content.js";
import { button, element, empty, having, keep, newId, say, settled, title } from "./dom.js";
import { ago, clock, whole } from "./format.js";

const PAGE = 24;
const READ = 96;
const MOST_PAGES = 5;
const FILTERS = ["collector", "caller", "concept", "least", "most"];

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

class Gallery {
  constructor(query) {
    this.fields = Object.fromEntries(FILTERS.map((name) => [name, this.field(name, query.get(name) || "")]));
    this.cards = new Map();
    this.inputs = [];
    this.pages = 0;
    this.list = element("ul", "gallery");
    this.none = empty(element("p", "", "Nothing here yet."));
    this.note = element("p", "note");
    this.none.append(this.note);
    this.more = button("Show more", "quiet", () => this.load(false));
    const range = element("span", "range", this.fields.least, " to ", this.fields.most);
    this.bar = element("div", "filters", labelled("Collector", this.fields.collector), labelled("Caller", this.fields.caller),
      labelled("Concept", this.fields.concept), element("label", "", element("span", "", "Probability"), range));
    this.pager = element("p", "pager", this.more);
    this.nodes = [title("Inputs", "What was kept, newest first."), this.bar, this.list, this.none, this.pager];
  }

  field(name, value) {
    const isNumber = name === "least" || name === "most";
    const made = having(element("input", ""), { value, spellcheck: "false", placeholder: isNumber ? (name === "least" ? "0" : "1") : "any" });
    if (isNumber) having(made, { type: "number", min: 0, max: 1, step: 0.05, "aria-label": name === "least" ? "least probability" : "largest probability" });
    else {
      this.lists = { ...this.lists, [name]: having(element("datalist", ""), { id: newId(name) }) };
      having(made, { list: this.lists[name].id, type: "search" });
    }
    made.addEventListener("input", settled(250, () => this.restart()));
    return made;
  }

  get wish() {
    return Object.fromEntries(FILTERS.map((name) => [name, this.fields[name].value.trim()]));
  }

  restart() {
    const query = new URLSearchParams(Object.entries(this.wish).filter(([, value]) => value));
    history.replaceState(null, "", `#/inputs${query.size ? `?${query}` : ""}`);
    this.inputs = [];
    this.pages = 0;
    return this.load(true);
  }

  /** The newest page is looked at again; what was loaded behind it stays. */
  async refresh() {
    if (!this.pages) await this.offer();
    await this.load(true);
  }

  async load(isNewest) {
    const wish = this.wish;
    const found = isNewest ? [] : this.inputs.slice();
    const known = new Set(found.map((input) => input.id));
    let page = isNewest ? 0 : this.pages;
    let isLast = false;
    do {
      page += 1;
      const inputs = await this.page(wish, page);
      isLast = inputs.length < READ;
      for (const input of inputs) {
        if (!known.has(input.id) && matches(input, wish)) found.push(input);
        known.add(input.id);
      }
    } while (!isLast && page % MOST_PAGES && found.length < (isNewest ? 1 : this.inputs.length + 1) + PAGE - 1);
    if (JSON.stringify(wish) !== JSON.stringify(this.wish)) return;
    const older = isNewest ? this.inputs.filter((input) => !known.has(input.id)) : [];
    this.inputs = [...found, ...older];
    if (this.pages < page) this.isLast = isLast;
    this.pages = Math.max(this.pages, page);
    this.show();
  }

  async page(wish, page) {
    const only = wish.collector ? `&collector=${encodeURIComponent(wish.collector)}` : "";
    return (await askJson(`${placeOf(wish.collector, "inputs")}?page=${page}&per_page=${READ}${only}`)).inputs;
  }

  async offer() {
    const [{ collectors }, { sources }] = await Promise.all([askJson("/v1/collectors"), askJson("/v1/traffic")]);
    const names = { collector: collectors.map((each) => each.key), caller: sources.map((each) => each.caller) };
    for (const [name, values] of Object.entries(names)) {
      this.lists[name].replaceChildren(...[...new Set(values)].filter(Boolean).slice(0, 500).map((value) => new Option(value, value)));
    }
    this.bar.append(...Object.values(this.lists));
  }

  show() {
    const prefix = this.wish.collector.split("/").slice(0, -1);
    const keys = this.inputs.map((input) => [...prefix, input.id].join("/"));
    for (const key of this.cards.keys()) if (!keys.includes(key)) this.cards.delete(key);
    keep(this.list, this.inputs.map((input, index) => {
      if (!this.cards.has(keys[index])) this.cards.set(keys[index], card(input, keys[index]));
      return this.cards.get(keys[index]);
    }));
    for (const time of this.list.querySelectorAll("time")) say(time, ago(time.dateTime));
    this.none.hidden = this.inputs.length > 0;
    const isNarrowed = Object.values(this.wish).some(Boolean);
    say(this.none.querySelector("p"), isNarrowed ? "Nothing matches." : "Nothing here yet.");
    say(this.note, isNarrowed ? `Looked through the newest ${whole(this.pages * READ)} inputs.`
      : "Inputs show up as soon as a collector keeps one and its destination is the embedded app.");
    this.pager.hidden = this.isLast;
  }
}

function matches(input, wish) {
  if (wish.caller && input.caller !== wish.caller) return false;
  if (!wish.concept && !wish.least && !wish.most) return true;
  const [least, most] = [Number(wish.least || 0), Number(wish.most || 1)];
  const concepts = conceptsOf(input.data);
  const asked = wish.concept ? concepts.filter((each) => each.id === wish.concept || each.name === wish.concept) : concepts.slice(0, 1);
  return asked.some((each) => each.value >= least && each.value <= most);
}

function labelled(text, field) {
  return element("label", "", element("span", "", text), field);
}

export const open = (_rest, query) => new Gallery(query);
