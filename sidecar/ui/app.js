/* The page's frame: which view is open, its refreshing, the sidecar's health, and the token where one is asked for. */

import { ask, askJson, hasToken, useToken, Refused } from "./api.js";
import { byId, element, say } from "./dom.js";
import * as collectors from "./collectors.js";

const REFRESH_MS = 2500;
// what is not shown first is loaded when it is opened
const VIEWS = {
  collectors: async () => collectors,
  collector: () => import("./form.js"),
  inputs: () => import("./inputs.js"),
  input: () => import("./story.js"),
  traffic: () => import("./traffic.js"),
  queue: () => import("./queue.js"),
  job: () => import("./job.js"),
  ledger: () => import("./ledger.js"),
  events: () => import("./events.js"),
  settings: () => import("./settings.js"),
  keys: () => import("./keys.js"),
};
const UNDER = { collector: "collectors", input: "inputs", job: "queue", settings: "events", keys: "events" };
const ADMIN = ["events", "settings", "keys"];
let view = null;
let timer = 0;
let opened = 0;

/** `#/inputs/key?caller=alice` as its view, the rest of its path, and its query. */
function place() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/");
  const known = Object.hasOwn(VIEWS, name) ? name : "collectors";
  return { name: known, rest: rest.map(decodeURIComponent).join("/"), query: new URLSearchParams(query || "") };
}

async function open() {
  clearTimeout(timer);
  const { name, rest, query } = place();
  opened += 1;
  byId("main").setAttribute("aria-busy", "true");
  const mine = opened;
  const module = await VIEWS[name]();
  if (mine !== opened) return;
  const isFirst = view === null;
  view?.close?.();
  view = module.open(rest, query);
  byId("main").className = `view-${name}`;
  byId("main").replaceChildren(...view.nodes);
  mark(name);
  const heading = byId("main").querySelector("h2");
  document.title = `${heading.textContent} · Collector sidecar`;
  if (!isFirst) {
    scrollTo(0, 0);
    heading.focus({ preventScroll: true });
  }
  await turn();
}

/** Mark where the view stands among the links; the three for the sidecar's own affairs stand under one of them. */
function mark(name) {
  byId("tabs").hidden = !ADMIN.includes(name);
  for (const each of [...byId("nav").children, ...byId("tabs").children]) {
    const target = each.getAttribute("href").slice(2);
    if (target === name) each.setAttribute("aria-current", "page");
    else if (target === UNDER[name] && each.parentNode === byId("nav")) each.setAttribute("aria-current", "true");
    else each.removeAttribute("aria-current");
  }
}

function showHealth(text, tone) {
  say(byId("health"), text);
  byId("health").className = `health ${tone}`;
  byId("health").title = text;
}

function askForToken() {
  byId("main").hidden = byId("nav").hidden = byId("tabs").hidden = true;
  if (!byId("ask").hidden) return;
  byId("ask-fault").textContent = hasToken() ? "That is not its token." : "";
  byId("ask").hidden = false;
  byId("token").focus();
  showHealth("Locked", "");
}

/** The token may not see this view; others it may. */
function showForbidden(error) {
  byId("ask").hidden = true;
  byId("main").hidden = byId("nav").hidden = false;
  mark(place().name);
  while (byId("main").children.length > 1) byId("main").lastElementChild.remove();
  byId("main").append(element("div", "empty", element("p", "", "This view is not open to you."),
    element("p", "note", `${error.message}. The other views may be; whoever holds the admin token can make a key with more.`)));
  byId("main").setAttribute("aria-busy", "false");
  byId("main").dataset.shown = location.hash;
  showHealth("Ready", "good");
}

async function readiness() {
  const ready = await (await ask("/readyz")).json();
  const reasons = Object.entries(ready.reasons || {}).map(([part, reason]) => `${part}: ${reason}`);
  showHealth(reasons.length ? reasons.join(" · ") : "Ready", reasons.length ? "bad" : "good");
}

async function refresh() {
  const mine = opened;
  await Promise.all([view.refresh(), readiness()]);
  if (mine !== opened) return;
  byId("ask").hidden = true;
  byId("main").hidden = byId("nav").hidden = false;
  mark(place().name);
  byId("main").setAttribute("aria-busy", "false");
  byId("main").dataset.shown = location.hash;
}

async function turn() {
  clearTimeout(timer);
  const mine = opened;
  try {
    if (!document.hidden && view) await refresh();
  } catch (error) {
    if (error instanceof Refused && error.status === 401) return askForToken();
    if (error instanceof Refused && error.status === 403) return showForbidden(error);
    byId("nav").hidden = false;
    showHealth(`No answer: ${error.message}`, "bad");
  }
  if (mine === opened) timer = setTimeout(turn, REFRESH_MS);
}

byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  useToken(byId("token").value.trim());
  byId("ask").hidden = true;
  open();
});
addEventListener("hashchange", open);
addEventListener("refresh", turn);
document.addEventListener("visibilitychange", () => { if (!document.hidden) turn(); });
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
open();
