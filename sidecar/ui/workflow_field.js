/* A collector's workflow: none, one that is there, or one written here as YAML or JSON, judged while it is written. */

import { button, element, having } from "./dom.js";
import { area, choice } from "./fields.js";
import { toYaml } from "./yaml.js";

const WRITTEN = "+";
const OURS = new Set(["created_at", "managed_by", "origin", "user_id", "app_id"]);
const BEGINNING = {
  id: "",
  nodes: [{
    id: "unsure",
    model: {
      model_id: "unsure",
      model_type_id: "concept-thresholder",
      output_info: { params: { concept_threshold_type: "LESS_THAN", require: "all" }, data: { concepts: [{ id: "*", value: 0.6 }] } },
    },
  }],
};

/** A workflow as people write it: without what the server sets, and each model under one name. */
function written(workflow) {
  const plain = Object.fromEntries(Object.entries(workflow).filter(([name]) => !OURS.has(name)));
  plain.nodes = plain.nodes.map((node) => {
    const { id, ...model } = node.model;
    return { ...node, model: model.model_id ? model : { ...model, model_id: id } };
  });
  return plain;
}

export class WorkflowField extends EventTarget {
  constructor(label, help, suffix) {
    super();
    this.suffix = suffix;
    this.known = new Map();
    this.choice = choice(label, help, [["", "none"], [WRITTEN, "Write a new one …"]]);
    this.text = area("Nodes, as YAML or JSON", "", 14);
    this.copy = button("Edit a copy", "quiet", () => this.write(this.known.get(this.choice.value), true));
    this.problems = having(element("ol", "problems"), { "aria-live": "polite", "aria-label": `Faults in ${label.toLowerCase()}` });
    this.node = element("div", "workflow", this.choice.node, this.copy, this.text.node, this.problems);
    this.choice.control.addEventListener("change", () => this.changed());
    this.text.control.addEventListener("input", () => this.tell());
    this.show();
  }

  /** The workflows that there are; `chosen` stays chosen. */
  offer(workflows, chosen) {
    this.known = new Map(workflows.map((each) => [each.id, each]));
    const options = [new Option("none", ""), ...workflows.map((each) => new Option(each.id, each.id)), new Option("Write a new one …", WRITTEN)];
    if (chosen && chosen !== WRITTEN && !this.known.has(chosen)) options.splice(1, 0, new Option(`${chosen} (not there)`, chosen));
    this.choice.control.replaceChildren(...options);
    this.choice.value = chosen;
    this.show();
  }

  get isWritten() {
    return this.choice.value === WRITTEN;
  }

  /** The draft's text; blank when none is written. */
  get draft() {
    return this.isWritten ? this.text.control.value : "";
  }

  get chosen() {
    return this.isWritten ? "" : this.choice.value;
  }

  changed() {
    if (this.isWritten && !this.text.control.value.trim()) this.write({ ...BEGINNING, id: this.newId?.() || "unsure" }, false);
    this.show();
    this.tell();
  }

  write(workflow, isCopy) {
    const copy = written(workflow);
    if (isCopy) copy.id = this.freeId(copy.id);
    this.text.control.value = toYaml({ workflow: copy });
    this.choice.value = WRITTEN;
    this.show();
    this.tell();
  }

  freeId(id) {
    const stem = id.replace(/-\d+$/, "");
    let number = 2;
    while (this.known.has(`${stem}-${number}`)) number += 1;
    return `${stem}-${number}`;
  }

  tell() {
    this.dispatchEvent(new Event("changed"));
  }

  show() {
    const chosen = this.known.get(this.choice.value);
    if (chosen) this.text.control.value = toYaml({ workflow: written(chosen) });
    else if (!this.isWritten) this.text.control.value = "";
    this.text.control.rows = Math.min(Math.max(this.text.control.value.split("\n").length, 4), 24);
    this.text.control.readOnly = !this.isWritten;
    this.text.node.hidden = !this.isWritten && !chosen;
    this.copy.hidden = !chosen;
    if (!this.isWritten) this.problems.replaceChildren();
  }

  /** Faults of the draft, each a button that leads to its line. */
  blame(problems) {
    const signature = JSON.stringify(problems);
    if (this.signature === signature) return;
    this.signature = signature;
    this.problems.replaceChildren(...problems.map(({ line, field, message }) => {
      const place = [line ? `line ${line}` : "", field].filter(Boolean).join(", ");
      return element("li", "", button(`${place ? `${place}: ` : ""}${message}`, "problem", () => this.goTo(line)));
    }));
    having(this.text.control, { "aria-invalid": String(problems.length > 0) });
  }

  goTo(line) {
    const lines = this.text.control.value.split("\n");
    const start = lines.slice(0, Math.max(line - 1, 0)).join("\n").length + (line > 1 ? 1 : 0);
    this.text.control.focus();
    this.text.control.setSelectionRange(start, start + (lines[line - 1] || "").length);
  }

  /** Another threshold in a node, `old` until now: what is chosen becomes a copy, what is written stays as it is written. */
  setThreshold(draft, nodeId, old, threshold) {
    const workflow = written(structuredClone(this.isWritten ? draft : this.known.get(this.choice.value)));
    const node = workflow.nodes.find((each) => each.id === nodeId);
    if (!node) return;
    const there = new RegExp(`(?<![\\d.])${String(old).replace(".", "\\.")}(?![\\d.])`, "g");
    const text = this.text.control.value;
    if (this.isWritten && text.match(there)?.length === 1) {
      this.text.control.value = text.replace(there, String(threshold));
      this.tell();
      return;
    }
    node.model.output_info = replaced(node.model.output_info, old, threshold);
    this.write(workflow, !this.isWritten);
  }
}

function replaced(value, old, threshold) {
  if (value === old) return threshold;
  if (Array.isArray(value)) return value.map((each) => replaced(each, old, threshold));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, replaced(each, old, threshold)]));
}
