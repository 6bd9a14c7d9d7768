// Texts in, their sentiment out.

import { byId, make } from "./dom.js";
import { Task } from "./task.js";

const LABELS = ["positive", "neutral", "negative"];

export const sentiment = (gateway, failed) => new Task(gateway, "sentiment", { read, show, failed });

function read() {
  const input = byId("texts").value.split("\n").map((line) => line.trim()).filter(Boolean);
  return { path: "v1/sentiment", body: { model: byId("sentiment-model").value, input } };
}

function show({ results }, { input }) {
  byId("labels").replaceChildren(...results.map((result, at) => judged(input[at], result)));
  return `${results.length} texts: ${results.map((result) => result.label).join(", ")}.`;
}

function judged(text, { label, scores }) {
  const head = make("p", { className: "judged" }, make("span", { className: `badge ${label}` }, label), " ", make("span", {}, text));
  const shares = LABELS.filter((name) => name in scores).map((name) => share(name, scores[name]));
  return make("li", {}, head, make("ul", { className: "shares" }, ...shares));
}

function share(name, value) {
  const bar = make("span", { className: `share ${name}` });
  bar.style.width = `${(value * 100).toFixed(1)}%`;
  bar.setAttribute("aria-hidden", "true");
  return make("li", {}, make("span", { className: "name" }, name), make("span", { className: "track" }, bar),
    make("span", { className: "percent" }, `${(value * 100).toFixed(0)}%`));
}
