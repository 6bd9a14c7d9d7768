// Text becomes text, never markup: nothing here takes HTML.

export const byId = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Say something to a screen reader, once, without a word on the screen. */
export function announce(text) {
  byId("status").textContent = text;
}

export function duration(milliseconds) {
  if (milliseconds >= 10_000) return `${(milliseconds / 1000).toFixed(1)} s`;
  if (milliseconds >= 1000) return `${(milliseconds / 1000).toFixed(2)} s`;
  return `${milliseconds.toFixed(milliseconds < 100 ? 1 : 0)} ms`;
}

/** A figure with its exact value beside what is shown. */
export function figure(value, shown) {
  const made = make("data", {}, shown);
  made.value = String(value);
  return made;
}

/** "sentiment v1 · 127.0.0.1:8200 · request 5f…", from an answer's headers. */
export function servedBy(answer) {
  const said = (name) => answer.headers.get(name);
  const model = [said("x-naru-model"), said("x-naru-version")].filter(Boolean).join(" ");
  return [model, said("x-naru-endpoint"), `request ${said("x-request-id")}`].filter(Boolean).join(" · ");
}
