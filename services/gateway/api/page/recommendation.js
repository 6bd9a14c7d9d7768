// A user or a history in, items out.

import { byId, make } from "./dom.js";
import { Task } from "./task.js";

const STRATEGIES = {
  personalised: "Made for this user.",
  history: "Made from this history.",
  popular: "What most people like: the model does not know this user, and there is no history.",
};

export const recommendation = (gateway, failed) => new Task(gateway, "recommendation", { read, show, failed });

function read() {
  const user = byId("user").value.trim();
  const history = byId("history").value.split(/[\s,]+/).filter(Boolean);
  const body = {
    model: byId("recommendation-model").value,
    ...(user && { user_id: user }),
    ...(history.length && { history }),
    k: byId("k").valueAsNumber || 10,
    exclude_seen: byId("exclude-seen").checked,
  };
  return { path: "v1/recommendations", body };
}

function show({ items, strategy, unknown_items: unknown = [] }) {
  const left = unknown.length ? ` Of the history it does not know ${unknown.join(", ")}.` : "";
  byId("strategy").textContent = (STRATEGIES[strategy] ?? strategy) + left;
  byId("items").replaceChildren(...items.map(item));
  return `${items.length} items. ${byId("strategy").textContent}`;
}

function item({ id, title, score }) {
  return make("li", { className: "item" }, make("span", { className: "title" }, title ?? `Item ${id}`),
    make("span", { className: "hint" }, `id ${id} · score ${score.toFixed(2)}`));
}
