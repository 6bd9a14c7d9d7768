// Puts the page together: the key, the models it may use, and a panel for each kind of model.

import { Chat } from "./chat.js";
import { announce, byId, make } from "./dom.js";
import { Gateway } from "./gateway.js";
import { Notice } from "./notice.js";
import { recommendation } from "./recommendation.js";
import { sentiment } from "./sentiment.js";
import { tabs } from "./tabs.js";

const TASKS = ["chat", "sentiment", "recommendation"];
const gateway = new Gateway();
const notice = new Notice();
const panels = [new Chat(gateway, failed), sentiment(gateway, failed), recommendation(gateway, failed)];

/** A refused key needs another one; whatever else went wrong can be tried again, where `again` does so. */
function failed(error, again) {
  if (!("status" in error)) throw error; // a defect of this page: the console says where
  if (error.status === 401) {
    askForKey();
    notice.show(error);
    byId("key").select();
    return;
  }
  notice.show(error, again);
  if (error.status >= 500) listed().catch(() => {});
}

function askForKey() {
  byId("key-form").hidden = false;
  byId("change-key").hidden = true;
  byId("forget-key").hidden = !gateway.key;
  byId("key").value = gateway.key;
  byId("key").focus();
}

/** Look up what the key may use, and show it. */
async function enter() {
  notice.hide();
  try {
    await listed();
  } catch (error) {
    failed(error, enter);
    return;
  }
  byId("key-form").hidden = true;
  byId("change-key").hidden = false;
  byId("intro").hidden = true;
  byId("workplace").hidden = false;
  announce("The key is good.");
}

async function listed() {
  const models = await gateway.models();
  const ready = models.filter((model) => model.ready).length;
  byId("fleet").textContent = `${ready} of ${models.length} models ready`;
  byId("fleet").className = ready === models.length ? "pill good" : "pill bad";
  byId("fleet").hidden = false;
  for (const task of TASKS) offer(task, models.filter((model) => model.task === task));
  for (const panel of panels) panel.refresh();
}

function offer(task, models) {
  const select = byId(`${task}-model`);
  const chosen = select.value;
  const options = models.map(({ id, ready }) => make("option", { value: id }, ready ? id : `${id} (no engine)`));
  select.replaceChildren(...(options.length ? options : [make("option", { value: "" }, "no model of this kind")]));
  if (models.some(({ id }) => id === chosen)) select.value = chosen;
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  gateway.use(byId("key").value.trim());
  enter();
});
byId("change-key").addEventListener("click", askForKey);
byId("forget-key").addEventListener("click", () => {
  gateway.forget();
  location.reload();
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && !byId("workplace").hidden) listed().catch(() => {});
});
tabs(document.querySelector("[role=tablist]"), () => notice.hide());

if (gateway.key) enter();
else byId("key").focus();
