/* The settings this sidecar runs with: each with its value, where that came from, and its two names. Secrets stay masked. */

import { askJson } from "./api.js";
import { cell, element, empty, having, keep, say, table, title } from "./dom.js";
import { whole } from "./format.js";

const ORIGINS = { option: "option", environment: "variable", default: "default" };

class Settings {
  constructor() {
    this.search = having(element("input", ""), { type: "search", placeholder: "Find by name or meaning", "aria-label": "Find settings" });
    this.isSet = having(element("input", ""), { type: "checkbox" });
    for (const each of [this.search, this.isSet]) each.addEventListener("input", () => this.show());
    const narrow = element("label", "ticked", this.isSet, "Only what was set");
    this.table = table("Settings", [["Setting"], ["Value"], ["From"], ["What it is"]]);
    this.none = empty(element("p", "", "Nothing matches."));
    this.nodes = [title("Settings", "", this.search, narrow), this.table.box, this.none];
    this.table.box.hidden = true;
  }

  /** They hold as long as the process runs: they are read once. */
  async refresh() {
    if (this.rows) return;
    const { settings } = await askJson("/v1/settings");
    this.rows = settings.map((setting) => ({ setting, node: this.row(setting) }));
    this.show();
  }

  row({ option, variable, value, from, default: otherwise, help, secret }) {
    const names = [element("code", "name", option), element("div", "note", element("code", "", variable))];
    const shown = secret ? element("span", value ? "tag" : "soft", value ? "set, not shown" : "not set") : element(value ? "code" : "span", value ? "" : "soft", value || "–");
    const usual = from !== "default" && otherwise ? element("div", "note", "default ", element("code", "", otherwise)) : null;
    return element("tr", from === "default" ? "usual" : "", cell("Setting", "first", ...names), cell("Value", "value", shown, usual),
      cell("From", "", element("span", "tag", ORIGINS[from] || from)), cell("What it is", "about", help.replaceAll("`", "")));
  }

  show() {
    if (!this.rows) return;
    const wanted = this.search.value.trim().toLowerCase();
    const found = this.rows.filter(({ setting }) => (!this.isSet.checked || setting.from !== "default")
      && [setting.option, setting.variable, setting.help].some((text) => text.toLowerCase().includes(wanted)));
    keep(this.table.body, found.map(({ node }) => node));
    const set = this.rows.filter(({ setting }) => setting.from !== "default").length;
    say(this.nodes[0].querySelector("p"), `${whole(set)} of ${whole(this.rows.length)} set. They are read at the start: an option wins over a variable.`);
    this.table.box.hidden = found.length === 0;
    this.none.hidden = found.length > 0;
  }
}

export const open = () => new Settings();
