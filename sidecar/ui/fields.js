/* The fields of a form: each with its label, what it means, and the fault that the API finds in it. */

import { element, having, newId } from "./dom.js";

/** One labelled control; `fault` is shown beside it and read out with it. */
export class Field {
  constructor(label, help, control) {
    control.id ||= newId("field");
    this.control = control;
    this.fault = having(element("p", "fault"), { id: newId("fault") });
    this.help = having(element("p", "help", help), { id: newId("help") });
    having(control, { "aria-describedby": `${this.help.id} ${this.fault.id}` });
    this.label = having(element("label", "", label), { for: control.id });
    this.node = element("div", "field", this.label, control, help ? this.help : "", this.fault);
    this.isTouched = false;
    control.addEventListener("input", () => { this.isTouched = true; });
  }

  /** What was given, as it was, until somebody writes something else: a control folds line ends and may trim. */
  get value() {
    return this.control.value === this.shown ? this.given : this.control.value.trim();
  }

  set value(given) {
    this.given = given ?? "";
    this.control.value = this.given;
    this.shown = this.control.value;
  }

  /** Shows a fault; none where it is blank. */
  blame(message) {
    this.fault.textContent = message;
    if (message) this.control.setAttribute("aria-invalid", "true");
    else this.control.removeAttribute("aria-invalid");
  }
}

export function text(label, help, attributes = {}) {
  return new Field(label, help, having(element("input", ""), { type: "text", autocomplete: "off", spellcheck: "false", ...attributes }));
}

/** Text with suggestions: what was really seen. */
export function suggesting(label, help, attributes = {}) {
  const list = having(element("datalist", ""), { id: newId("seen") });
  const field = text(label, help, { list: list.id, ...attributes });
  field.node.append(list);
  field.offer = (values) => list.replaceChildren(...[...new Set(values)].filter(Boolean).slice(0, 300).map((each) => new Option(each, each)));
  return field;
}

export function fraction(label, help) {
  return text(label, help, { type: "number", min: 0, max: 1, step: "any", inputmode: "decimal" });
}

export function area(label, help, rows) {
  return new Field(label, help, having(element("textarea", "code"), { rows, spellcheck: "false", autocomplete: "off" }));
}

/** Text of more than one line, as high as what is in it. */
export function prose(label, help, attributes = {}) {
  return new Field(label, help, having(element("textarea", "prose"), { rows: 1, ...attributes }));
}

export function choice(label, help, options) {
  const control = element("select", "");
  control.append(...options.map(([value, shown]) => new Option(shown, value)));
  return new Field(label, help, control);
}

/** A box to tick, its label behind it. */
export function tick(label, help) {
  const field = new Field(label, help, having(element("input", ""), { type: "checkbox" }));
  field.node.className = "field tick";
  field.node.prepend(field.control);
  return field;
}

export function group(legend, note, ...content) {
  return element("fieldset", "", element("legend", "", legend), note ? element("p", "note", note) : "", ...content);
}

export const row = (...fields) => element("div", "row", ...fields.map((field) => field.node));
