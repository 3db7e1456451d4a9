/* A bounded recording of the newest calls of one model: what drafts are tried on. One at a time, in memory, redacted. */

import { askJson, change } from "./api.js";
import { button, element, having, newId, say } from "./dom.js";
import { bytes, whole } from "./format.js";
import { tell } from "./notices.js";

const COUNT = 1000;
const SECONDS = 600;

export class Recording {
  /** `model` is the one to be recorded; blank means every one. */
  constructor(model) {
    this.text = element("p", "");
    this.list = having(element("datalist", ""), { id: newId("models") });
    this.model = having(element("input", ""), { "aria-label": "Model to record", placeholder: "every model", list: this.list.id, spellcheck: "false", value: model });
    this.start = button(`Record the next ${whole(COUNT)} calls`, "", () => this.begin());
    this.stop = button("Let it go", "quiet", () => this.end());
    this.node = element("div", "recording", this.text, this.model, this.list, this.start, this.stop);
    this.status = { recording: false };
    this.isFixed = false;
  }

  /** Record this model and no other. */
  fix(model) {
    this.model.value = model;
    this.isFixed = true;
    this.show();
  }

  offer(models) {
    if (this.list.children.length !== models.length) this.list.replaceChildren(...models.map((name) => new Option(name, name)));
  }

  async refresh() {
    this.status = await askJson("/v1/record");
    this.show();
    return this.status;
  }

  show() {
    const { model, kept, kept_bytes: size, recording } = this.status;
    const isThere = model !== undefined;
    if (!isThere) say(this.text, "Nothing is recorded. A recording is a sample in memory, redacted, on which drafts can be tried.");
    else say(this.text, `${recording ? "Recording" : "Recorded"} ${model || "every model"}: ${whole(kept)} calls, ${bytes(size)}.`);
    this.start.hidden = isThere;
    this.stop.hidden = !isThere;
    this.model.hidden = isThere || this.isFixed;
  }

  async begin() {
    const model = this.model.value.trim();
    await this.ask(() => change("POST", "/v1/record", { model, count: COUNT, seconds: SECONDS }));
  }

  end() {
    return this.ask(() => change("DELETE", "/v1/record"));
  }

  async ask(act) {
    try {
      await act();
    } catch (error) {
      tell(error.message, "bad");
    }
    await this.refresh();
    this.node.dispatchEvent(new Event("changed"));
  }
}
