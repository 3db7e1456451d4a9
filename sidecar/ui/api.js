/* Asks the admin API. The token stays in this tab's session, and goes nowhere but to this address. */

const TIMEOUT_MS = 15000;
let token = sessionStorage.getItem("token") || "";

/** What the API refused: its `status`, and what it said. */
export class Refused extends Error {
  constructor(status, details) {
    super(details);
    this.status = status;
  }
}

export const hasToken = () => token !== "";

export function useToken(given) {
  token = given;
  sessionStorage.setItem("token", token);
}

export async function ask(path, { method = "GET", body, headers = {}, isLast = false } = {}) {
  const sent = { ...headers };
  if (token) sent.Authorization = `Bearer ${token}`;
  if (body !== undefined) sent["Content-Type"] = "application/json";
  return fetch(path, {
    method,
    headers: sent,
    body: body === undefined ? undefined : JSON.stringify(body),
    cache: "no-store",
    keepalive: isLast,
    signal: isLast ? undefined : AbortSignal.timeout(TIMEOUT_MS),
  });
}

/** The answer's JSON, and the tag by which a change says what it changes. Raises Refused, with every fault named. */
export async function askTagged(path, options) {
  const answer = await ask(path, options);
  const content = await answer.json();
  if (!answer.ok) throw new Refused(answer.status, content.status?.details || `HTTP ${answer.status}`);
  return [content, answer.headers.get("ETag")];
}

/** The answer's JSON. Raises Refused. */
export async function askJson(path, options) {
  return (await askTagged(path, options))[0];
}

export const change = (method, path, body, headers) => askJson(path, { method, body, headers });

/** The events of a stream as [name, data], until it ends. */
export async function* askStream(path, signal) {
  const answer = await fetch(path, { headers: token ? { Authorization: `Bearer ${token}` } : {}, cache: "no-store", signal });
  if (!answer.ok) throw new Refused(answer.status, (await answer.json()).status?.details || `HTTP ${answer.status}`);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let { value, done } = await reader.read(); !done; { value, done } = await reader.read()) {
    const blocks = (text + value).split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/:\s?(.*)/s)));
      if (fields.event) yield [fields.event, JSON.parse(fields.data)];
    }
  }
}

/** Where an app's collectors, workflows or inputs are; `key` is `id` in the embedded app, else `user/app/id`. */
export function placeOf(key, kind) {
  const [user, app] = key.split("/").map(encodeURIComponent);
  return key.includes("/") ? `/v2/users/${user}/apps/${app}/${kind}` : `/v2/${kind}`;
}

export const idOf = (key) => key.split("/").at(-1);

/** A capture's bytes as an address that an image can have, also where a token is needed to read them. */
export async function dataAddress(path) {
  const answer = await ask(path);
  if (!answer.ok) throw new Refused(answer.status, `HTTP ${answer.status}`);
  const content = await answer.blob();
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(content);
  });
}
