/* The keys of the admin API: made with scopes, given another token, revoked. A token is shown once and kept nowhere here. */

import { askJson, change } from "./api.js";
import { confirmed } from "./dialog.js";
import { button, cell, element, empty, having, keep, newId, say, table, title } from "./dom.js";
import { text, tick } from "./fields.js";
import { actor, ago, clock } from "./format.js";
import { tell } from "./notices.js";

const SCOPES = {
  read: "See policies, jobs, the ledger, metrics, events and settings: nothing that was captured.",
  write: "Change policies, jobs, recordings and keys.",
  inputs: "Post, see and delete what was captured.",
};

/** A token that is there to be taken away now: it is gone with this view. */
class Token {
  constructor() {
    this.heading = element("h3", "", "");
    this.field = having(element("input", "code"), { readonly: true, spellcheck: "false", "aria-label": "Token", id: newId("token") });
    this.copy = button("Copy", "", () => this.take());
    this.note = having(element("p", "note"), { role: "status" });
    const done = button("Done", "quiet", () => this.close());
    this.node = element("section", "sum token", this.heading, element("div", "ask-row", this.field, this.copy, done), this.note);
    this.node.hidden = true;
    this.field.addEventListener("focus", () => this.field.select());
  }

  show(key, token) {
    say(this.heading, `The token of ${key.name}`);
    say(this.note, "Take it now: it is shown this once. It is sent as Authorization: Bearer …");
    this.field.value = token;
    this.node.hidden = false;
    this.node.scrollIntoView({ block: "nearest" });
    this.field.focus();
  }

  close() {
    const isInside = this.node.contains(document.activeElement);
    this.field.value = "";
    this.node.hidden = true;
    if (isInside) document.querySelector("h2").focus();
  }

  /** Browsers give a page the clipboard over TLS and on loopback only. */
  async take() {
    try {
      await navigator.clipboard.writeText(this.field.value);
      say(this.note, "Copied. It is shown this once.");
    } catch {
      this.field.select();
      say(this.note, "This browser does not let the page copy: it is marked, copy it by keyboard.");
    }
  }
}

/** The form of a new key. */
class NewKey {
  constructor(made) {
    this.made = made;
    this.name = text("Name", "Who uses it, such as prometheus.", { required: true, maxlength: 100 });
    this.scopes = Object.entries(SCOPES).map(([scope, help]) => [scope, tick(scope, help)]);
    this.fault = having(element("p", "fault"), { role: "alert" });
    const legend = element("fieldset", "scopes", element("legend", "", "It may"), ...this.scopes.map(([, field]) => field.node));
    this.node = having(element("form", "sum", element("h3", "", "New key"), this.name.node, legend, this.fault,
      element("div", "submit", having(element("button", "", "Create key"), { type: "submit" }))), { novalidate: true, "aria-label": "New key" });
    this.node.addEventListener("submit", (event) => { event.preventDefault(); this.submit(); });
  }

  async submit() {
    const scopes = this.scopes.filter(([, field]) => field.control.checked).map(([scope]) => scope);
    this.name.blame(this.name.value ? "" : "is missing");
    say(this.fault, scopes.length ? "" : "Tick at least one of what it may do.");
    if (!this.name.value) return this.name.control.focus();
    if (!scopes.length) return this.scopes[0][1].control.focus();
    try {
      const { key, token } = await change("POST", "/v1/keys", { name: this.name.value, scopes });
      this.node.reset();
      this.made(key, token);
    } catch (error) {
      say(this.fault, error.message);
    }
  }
}

class Keys {
  constructor() {
    this.token = new Token();
    this.form = new NewKey((key, token) => this.given(key, token));
    this.rows = new Map();
    this.table = table("Keys", [["Key"], ["May"], ["Made"], ["Rotated"], [""]]);
    this.none = empty(element("p", "", "No key yet."), element("p", "note", "The admin token can do everything. A key can do what its scopes say, and is revoked by itself."));
    const list = element("div", "", this.table.box, this.none);
    this.nodes = [title("Keys", "Each may what its scopes say, and has a token of its own, of which a hash is kept."), this.token.node, element("div", "keys", list, this.form.node)];
    this.table.box.hidden = true;
  }

  close() {
    this.token.close();
  }

  async refresh() {
    const { keys } = await askJson("/v1/keys");
    this.names = new Map(keys.map((key) => [key.id, key.name]));
    const ids = new Set(keys.map((key) => key.id));
    for (const id of this.rows.keys()) if (!ids.has(id)) this.rows.delete(id);
    keep(this.table.body, keys.map((key) => this.row(key)));
    for (const time of this.table.body.querySelectorAll("time")) say(time, ago(time.dateTime));
    this.table.box.hidden = keys.length === 0;
    this.none.hidden = keys.length > 0;
  }

  row(key) {
    const signature = JSON.stringify(key);
    if (this.rows.get(key.id)?.signature === signature) return this.rows.get(key.id).node;
    const when = (moment) => having(element("time", ""), { datetime: moment, title: clock(moment) });
    const rotate = having(button("New token", "quiet", () => this.rotate(key)), { "aria-label": `New token for ${key.name}` });
    const revoke = having(button("Revoke", "quiet bad", () => this.revoke(key)), { "aria-label": `Revoke ${key.name}` });
    const node = element("tr", "",
      cell("Key", "first", element("div", "name", key.name), element("div", "note", element("code", "", key.id))),
      cell("May", "may", ...key.scopes.map((scope) => element("span", "tag", scope))),
      cell("Made", "", when(key.created_at), element("div", "note", `by ${actor(key.created_by, this.names)}`)),
      cell("Rotated", "", key.rotated_at ? when(key.rotated_at) : "–"),
      element("td", "acts", rotate, revoke));
    this.rows.set(key.id, { node, signature });
    return node;
  }

  given(key, token) {
    this.token.show(key, token);
    return this.reload();
  }

  reload() {
    return this.refresh().catch((error) => tell(error.message, "bad"));
  }

  async rotate(key) {
    if (!await confirmed(`A new token for ${key.name}?`, "The present one is refused from then on, wherever it is used.", "New token")) return;
    try {
      const said = await change("POST", `/v1/keys/${key.id}/rotate`);
      this.token.show(said.key, said.token);
    } catch (error) {
      tell(error.message, "bad");
    }
    await this.reload();
  }

  async revoke(key) {
    if (!await confirmed(`Revoke ${key.name}?`, "Whoever uses it is refused at once. This cannot be undone.", "Revoke")) return;
    try {
      await change("DELETE", `/v1/keys/${key.id}`);
      tell(`${key.name} is revoked.`);
      document.querySelector("h2").focus();
    } catch (error) {
      tell(error.message, "bad");
    }
    await this.reload();
  }
}

export const open = () => new Keys();
