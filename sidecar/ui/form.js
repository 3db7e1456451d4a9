/* Makes a collector or changes one: every field of it, judged while it is filled in, tried on real calls beside it. */

import { askJson, askTagged, change, idOf, placeOf } from "./api.js";
import { element, having, link, say, settled, title } from "./dom.js";
import { area, fraction, group, prose, row, suggesting, text, tick } from "./fields.js";
import { tell } from "./notices.js";
import { Preview } from "./preview.js";
import { WorkflowField } from "./workflow_field.js";
import { toYaml } from "./yaml.js";

const SOURCE = "api_post_model_outputs_collector_source";
const TYPING_MS = 250;
const TEXTS = ["destination", "redact"];
const NEW = { sample_exchanges: 1, collect_failures: true };
const STARTS = ["pre_queue_workflow_id", "pre_queue_random_sample", "post_queue_workflow_id"];

function newFields() {
  return {
    id: text("Name", "Letters and digits, single - or _ between them.", { maxlength: 48, required: true }),
    description: prose("Description", ""),
    model_id: suggesting("Model", "Whose calls are watched. Offered is what was seen.", { required: true }),
    model_version_id: suggesting("Version", "", { placeholder: "every version" }),
    caller_user_id: suggesting("Caller", "", { placeholder: "everyone" }),
    model_user_id: text("Model's user", "", { placeholder: "any" }),
    model_app_id: text("Model's app", "", { placeholder: "any" }),
    sample_exchanges: fraction("Fraction of calls", "Drawn before anything is copied."),
    pre_queue_random_sample: fraction("Fraction of inputs", "Drawn after the answer has left."),
    collect_failures: tick("Keep what the model failed on too", "No answer, or none of 2xx: often what one looks for."),
    collect_outputs: tick("Keep the model's output with the input", ""),
    keep_input: tick("Keep the original input", "With a post-queue workflow, whose output is posted otherwise."),
    post_inputs_key_id: text("Key that may post", "Kept encrypted, shown as a reference.", { type: "password", autocomplete: "new-password" }),
    lets_key_go: tick("Take the key away", ""),
    destination: area("Destination, as YAML", "Blank means the embedded app, to be seen on this page.", 3),
    redact: area("Redaction, as YAML", "Rules that apply before anything is written: [{detect: [email, phone]}]", 3),
  };
}

class Form {
  /** `wished`: what a new collector's source is filled in with. */
  constructor(key, wished) {
    this.key = key;
    this.wished = wished;
    this.fields = newFields();
    this.before = new WorkflowField("Workflow before the queue", "Reads the model's output, after the answer has left: what it passes is kept.", "");
    this.after = new WorkflowField("Workflow after the queue", "Reads the kept input: what it gives is posted instead.", "-after");
    this.before.newId = () => (this.fields.id.value ? `${this.fields.id.value}-keeps` : "keeps");
    this.after.newId = () => (this.fields.id.value ? `${this.fields.id.value}-after` : "after");
    this.preview = new Preview();
    this.preview.addEventListener("moved", ({ detail }) => this.moveThreshold(detail));
    this.fault = having(element("p", "fault"), { role: "alert" });
    this.save = having(element("button", "", key ? "Save" : "Create collector"), { type: "submit" });
    this.form = this.layout();
    this.head = title(key ? idOf(key) : "New collector", key ? "" : "Says whose calls to which model are kept, and what becomes of them.");
    this.editor = element("div", "editor", this.form, this.preview.node);
    this.editor.hidden = true;  // until it is filled in: what is typed before would be written over
    this.nodes = [this.head, this.editor];
    this.fields.model_id.control.addEventListener("input", () => this.preview.recording.fix(this.fields.model_id.value));
    const later = settled(TYPING_MS, () => this.check());
    this.form.addEventListener("input", later);
    for (const each of [this.before, this.after]) each.addEventListener("changed", later);
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.submit(); });
  }

  layout() {
    const of = this.fields;
    const made = element("form", "form",
      group("Collector", "", row(of.id, of.description)),
      group("Source", "Whose calls to which model. A blank caller means everyone.", row(of.model_id, of.model_version_id, of.caller_user_id), row(of.model_user_id, of.model_app_id)),
      group("Keep", "At least one: a fraction of inputs, or a workflow.", row(of.sample_exchanges, of.pre_queue_random_sample), of.collect_failures.node, this.before.node),
      group("Then", "", this.after.node, row(of.collect_outputs, of.keep_input)),
      group("Post", "", of.destination.node, of.post_inputs_key_id.node, of.lets_key_go.node, of.redact.node),
      this.fault, element("div", "submit", this.save, link("Cancel", "#/collectors", "button quiet")));
    having(made, { novalidate: true, "aria-label": this.key ? `Change ${this.key}` : "New collector" });
    return made;
  }

  async refresh() {
    if (this.isLoaded) {
      await this.preview.refresh();
      return;
    }
    const place = placeOf(this.key, "workflows");
    const [{ workflows }, { sources, passing }, found] = await Promise.all([
      askJson(`${place}?per_page=1000`), askJson("/v1/traffic"),
      this.key ? askTagged(`${placeOf(this.key, "collectors")}/${encodeURIComponent(idOf(this.key))}`) : null,
    ]);
    this.isLoaded = true;
    this.offer(sources, passing);
    this.tag = found?.[1];
    this.fill(found?.[0].collector || { collector_source: { [SOURCE]: this.wished } }, workflows);
    this.editor.hidden = false;
    await this.preview.refresh();
    await this.check();
  }

  /** Callers are known of calls that are copied alone; models and versions of all that pass. */
  offer(sources, passing) {
    const named = [...sources, ...passing];
    this.fields.model_id.offer(named.map(({ model }) => model));
    this.fields.model_version_id.offer(named.map(({ version }) => version));
    this.fields.caller_user_id.offer(sources.map((source) => source.caller));
  }

  fill(collector, workflows) {
    const source = collector.collector_source?.[SOURCE] || {};
    for (const [name, field] of Object.entries(this.fields)) {
      const value = { ...NEW, ...source, ...collector }[name];
      if (field.control.type === "checkbox") field.control.checked = Boolean(value);
      else if (TEXTS.includes(name)) field.value = value ? toYaml(value).trim() : "";
      else if (name !== "post_inputs_key_id") field.value = value;
    }
    this.fields.post_inputs_key_id.control.placeholder = source.post_inputs_key_id || "none";
    this.fields.lets_key_go.node.hidden = !source.post_inputs_key_id;
    this.preview.recording.fix(this.fields.model_id.value);
    this.before.offer(workflows, collector.pre_queue_workflow_id || "");
    this.after.offer(workflows, collector.post_queue_workflow_id || "");
    this.fields.id.control.readOnly = Boolean(this.key);
    if (collector.managed_by === "file") this.lock(collector.origin);
  }

  lock(origin) {
    say(this.head.querySelector("p"), `Managed by ${origin}: change that file. Here a draft of it can be tried.`);
    this.save.disabled = true;
  }

  /** The collector as it is sent; workflows that are written here by the ids in `drafts`. */
  wire(drafts) {
    const of = this.fields;
    const number = (field) => (field.value === "" ? null : Number(field.value));
    const names = ["model_id", "model_version_id", "model_user_id", "model_app_id", "caller_user_id"];
    const source = Object.fromEntries(names.map((name) => [name, of[name].value]));
    return {
      id: of.id.value, description: of.description.value, collector_source: { [SOURCE]: source },
      sample_exchanges: number(of.sample_exchanges) ?? 1, pre_queue_random_sample: number(of.pre_queue_random_sample),
      pre_queue_workflow_id: this.before.isWritten ? drafts.before?.id || "" : this.before.chosen,
      post_queue_workflow_id: this.after.isWritten ? drafts.after?.id || "" : this.after.chosen,
      collect_outputs: of.collect_outputs.control.checked, keep_input: of.keep_input.control.checked,
      collect_failures: of.collect_failures.control.checked,
    };
  }

  /** Let the API judge what is written; gives what can be saved, null with a fault. */
  async check(isSaving = false) {
    const [user, app] = this.key.split("/");
    const owner = this.key.includes("/") ? { user_app_id: { user_id: user, app_id: app } } : {};
    const written = [["before", this.before], ["after", this.after]].filter(([, each]) => each.isWritten);
    const texts = Object.fromEntries(TEXTS.map((name) => [name, this.fields[name].value || "null"]));
    const read = await change("POST", "/v1/check", { workflows: written.map(([, each]) => each.draft), ...owner });
    this.drafts = Object.fromEntries(written.map(([name], index) => [name, read.workflows[index]]));
    const collector = this.wire(this.drafts);
    const body = { collector: { ...collector, id: collector.id || "draft" }, workflows: written.map(([, each]) => each.draft), texts, ...owner };
    const said = await change("POST", "/v1/check", body);
    const problems = said.problems.map((each) => ({ ...each, of: written[Number(each.in.match(/^workflows\[(\d+)\]$/)?.[1])]?.[0] }));
    this.blame(problems, written.length > 0, isSaving);
    const whole = { collector: { ...body.collector, ...said.values }, workflows: said.workflows.filter(Boolean), ...owner };
    this.preview.show(problems.length ? null : whole);
    return problems.length || !collector.id ? null : { collector: { ...collector, ...said.values }, workflows: whole.workflows, owner };
  }

  blame(problems, hasDrafts, isSaving) {
    for (const [name, each] of [["before", this.before], ["after", this.after]]) each.blame(problems.filter(({ of }) => of === name));
    const own = problems.filter(({ of }) => !of);
    const brokenDraft = problems.length > own.length;
    for (const [name, field] of Object.entries(this.fields)) {
      const fault = own.find((each) => each.in === `texts.${name}` || each.field.split(/[.[]/).includes(name) || each.field.endsWith(`.${name}`));
      const isMissing = name === "id" && isSaving && !field.value ? "is missing" : "";
      const isShown = fault && (isSaving || field.isTouched || this.key || !fault.message.startsWith("is missing"));
      field.blame(isShown ? fault.message : isMissing);
    }
    const others = own.filter(({ field }) => field === "" || STARTS.some((name) => name !== "pre_queue_random_sample" && field === name));
    const isSaid = (isSaving || this.key) && !(hasDrafts && brokenDraft);
    say(this.fault, isSaid ? others.map(({ message }) => message).join(" ") : "");
  }

  moveThreshold({ workflow, node, old, threshold }) {
    const isBefore = this.drafts?.before?.id === workflow || this.before.chosen === workflow;
    const field = isBefore ? this.before : this.after;
    field.setThreshold(isBefore ? this.drafts?.before : this.drafts?.after, node, old, threshold);
  }

  async submit() {
    this.save.disabled = true;
    try {
      const whole = await this.check(true);
      if (whole) await this.store(whole);
      else this.form.querySelector("[aria-invalid=true]")?.focus();
    } catch (error) {
      say(this.fault, error.message);
    }
    this.save.disabled = false;
  }

  async store({ collector, workflows, owner }) {
    for (const workflow of workflows) await this.storeWorkflow(workflow, owner);
    const key = this.fields.post_inputs_key_id.value;
    if (key || this.fields.lets_key_go.control.checked) collector.collector_source[SOURCE].post_inputs_key_id = key;
    const path = placeOf(this.key, "collectors");
    const unchanged = this.tag ? { "If-Match": this.tag } : {};
    await change(this.key ? "PATCH" : "POST", path, { collectors: [collector] }, unchanged);
    tell(this.key ? `${collector.id} is saved.` : `${collector.id} is active.`);
    location.hash = "#/collectors";
  }

  /** Make a workflow that was written here; from then on it is one to choose. */
  async storeWorkflow(workflow, owner) {
    await change("POST", placeOf(this.key, "workflows"), { workflows: [workflow], ...owner });
    const field = this.before.isWritten && this.drafts.before?.id === workflow.id ? this.before : this.after;
    for (const each of [this.before, this.after]) each.offer([...each.known.values(), workflow], each === field ? workflow.id : each.isWritten ? "+" : each.chosen);
  }
}

export const open = (rest, query) => new Form(rest, { model_id: query.get("model"), model_version_id: query.get("version") });
