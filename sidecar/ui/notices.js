/* Short messages at the page's foot, and the few seconds in which something can still be undone. */

import { byId, element, button, having } from "./dom.js";

const SHOWN_MS = 6000;
const UNDO_MS = 8000;
const waiting = new Set();

function show(text, tone, ...actions) {
  const notice = having(element("div", `notice ${tone}`, element("p", "", text), ...actions), { role: tone === "bad" ? "alert" : null });
  byId("notices").append(notice);
  return notice;
}

export function tell(text, tone = "") {
  const notice = show(text, tone);
  if (tone === "bad") notice.append(button("Close", "quiet", () => close(notice)));
  else setTimeout(() => notice.remove(), SHOWN_MS);
}

/** Take a notice away; whoever was in it by keyboard goes on at the view's head. */
function close(notice) {
  const isInside = notice.contains(document.activeElement);
  notice.remove();
  if (isInside) document.querySelector("h2")?.focus();
}

/** Does `act` in a few seconds, unless it is undone; at once when the page is left. */
export function unlessUndone(text, act, undone) {
  const end = (isLeft) => {
    if (!waiting.delete(end)) return;
    clearTimeout(timer);
    close(notice);
    act(isLeft);
  };
  const undo = button("Undo", "", () => {
    waiting.delete(end);
    clearTimeout(timer);
    close(notice);
    undone();
  });
  const notice = show(text, "", undo);
  const timer = setTimeout(() => end(false), UNDO_MS);
  waiting.add(end);
  undo.focus();
}

addEventListener("pagehide", () => [...waiting].forEach((end) => end(true)));
