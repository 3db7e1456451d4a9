/* What narrows a view: its fields, with values on offer, and the same in the address, so that a link keeps them. */

import { element, having, newId, settled } from "./dom.js";

const TYPING_MS = 250;
const MOST_OFFERED = 500;

/** Any text, with what was seen on offer. */
class TextFilter {
  constructor(label, value) {
    this.list = having(element("datalist", ""), { id: newId("offered") });
    this.field = having(element("input", ""), { type: "search", value, placeholder: "any", spellcheck: "false", list: this.list.id });
    this.node = element("label", "", element("span", "", label), this.field, this.list);
  }

  get value() {
    return this.field.value.trim();
  }

  offer(values) {
    const wanted = [...new Set(values)].filter(Boolean).slice(0, MOST_OFFERED);
    const isSame = wanted.length === this.list.children.length && wanted.every((each, index) => each === this.list.children[index].value);
    if (!isSame) this.list.replaceChildren(...wanted.map((each) => new Option(each, each)));
  }
}

export const textFilter = (label, value) => new TextFilter(label, value);

export function choiceFilter(label, options, value) {
  const field = element("select", "");
  field.append(...options.map(([each, shown]) => new Option(shown, each)));
  field.value = options.some(([each]) => each === value) ? value : "";
  return { field, node: element("label", "", element("span", "", label), field), get value() { return field.value; } };
}

/** A moment by this machine's clock; in the address and for the API it is UTC. What a link brought stays as it was. */
export function momentFilter(label, given) {
  const field = having(element("input", ""), { type: "datetime-local" });
  const at = new Date(/^[\d.]+$/.test(given) ? Number(given) * 1000 : given);
  if (!Number.isNaN(at.getTime())) field.value = new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, at % 60000 ? 19 : 16);
  const shown = field.value;
  const value = () => (field.value === shown ? given : field.value && new Date(field.value).toISOString());
  return { field, node: element("label", "", element("span", "", label), field), get value() { return value(); } };
}

/** The filters of one view by their names; `act` is called when one of them has changed. */
export class Filters {
  constructor(view, controls, act) {
    this.controls = controls;
    this.node = element("div", "filters", ...Object.values(controls).map((each) => each.node));
    this.node.addEventListener("input", settled(TYPING_MS, () => {
      history.replaceState(null, "", this.address(view));
      act();
    }));
  }

  /** What is asked for, as [name, value]. */
  get wish() {
    return Object.entries(this.controls).map(([name, { value }]) => [name, value]).filter(([, value]) => value);
  }

  address(view) {
    const query = new URLSearchParams(this.wish);
    return `#/${view}${query.size ? `?${query}` : ""}`;
  }
}
