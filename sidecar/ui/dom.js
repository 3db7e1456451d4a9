/* Makes elements. Text goes in by textContent alone: what was captured is anybody's, and is shown, never read as markup. */

const SVG = "http://www.w3.org/2000/svg";
let lastId = 0;

export const byId = (id) => document.getElementById(id);

/** An element with a class and text or children; blank and missing ones are passed over. */
export function element(tag, className, ...content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content.filter((each) => each !== null && each !== undefined && each !== ""));
  return made;
}

/** `node` with attributes; false, null and undefined are none, true is a blank one. */
export function having(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  return node;
}

export function drawn(tag, attributes, ...children) {
  const made = having(document.createElementNS(SVG, tag), attributes);
  made.append(...children);
  return made;
}

export function button(label, className, act) {
  const made = having(element("button", className, label), { type: "button" });
  made.addEventListener("click", act);
  return made;
}

export function link(label, address, className = "") {
  return having(element("a", className, label), { href: address });
}

export function newId(prefix) {
  lastId += 1;
  return `${prefix}-${lastId}`;
}

/** A cell that says its column where there is no head to stand under: on narrow screens. */
export function cell(label, className, ...content) {
  return having(element("td", className, ...content), { "data-label": label });
}

/** A table with `columns` of [label, is a number], in a box that can be scrolled by keyboard. */
export function table(label, columns) {
  const head = columns.map(([text, isNumber]) => having(element("th", isNumber ? "number" : "", text), { scope: "col" }));
  const body = element("tbody", "");
  const whole = element("table", "", having(element("caption", "unseen", label), {}), element("thead", "", element("tr", "", ...head)), body);
  const box = having(element("div", "scroll", whole), { tabindex: "0", role: "region", "aria-label": label });
  return { box, body };
}

/** The children of `parent` become `wanted`; nothing is touched where they are the same. */
export function keep(parent, wanted) {
  const isSame = parent.children.length === wanted.length && wanted.every((each, index) => each === parent.children[index]);
  if (!isSame) parent.replaceChildren(...wanted);
}

export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** The head of a view: its title, a line about it, and what can be done. */
export function title(text, about, ...actions) {
  const heading = having(element("h2", "", text), { tabindex: "-1" });
  const note = element("p", "", about);
  return element("div", "title", element("div", "", heading, note), element("div", "actions", ...actions));
}

export function empty(...content) {
  const box = element("div", "empty", ...content);
  box.hidden = true;
  return box;
}

/** Calls `act` once no other call has come for `wait_ms`. */
export function settled(wait_ms, act) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(...given), wait_ms);
  };
}
