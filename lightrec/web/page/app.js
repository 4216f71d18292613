/** The demo page: search a title, build a history, see what the model would show next. Nothing leaves the tab. */

import { combobox } from "./combobox.js";
import { Recommender } from "./lightrec.js";
import { fill } from "./rows.js";

const K = 10;
const element = (id) => document.getElementById(id);
const count = (number) => number.toLocaleString("en");

let recommender;
let latest = 0;
const times = [];
const state = { history: [], hidden: [] }; // item ids, oldest first

start().catch((error) => {
  document.querySelector(".yours").hidden = true;
  element("next-heading").textContent = "This page cannot start";
  element("loading").textContent = error.message;
  element("loading").classList.add("error");
  throw error;
});

async function start() {
  const begun = performance.now();
  recommender = await Recommender.load("bundle");
  const { items } = await recommender.recommend([], { k: recommender.itemIds.length }); // most popular first
  await recommender.rank([0]); // the first run of a new model takes longer: let nobody wait for it
  combobox(element("search"), element("matches"), items.map(named), { choose: (item) => act("add", item), say });
  restore();
  await update({ aloud: false });
  element("loading").hidden = true;
  element("search").disabled = false;
  element("search").placeholder = `Search ${count(items.length)} titles`;
  about((performance.now() - begun) / 1000);
  document.body.dataset.ready = "true";
  await keepOffline();
}

/** An item with something to call it by. */
function named(item) {
  return { ...item, title: item.title ?? item.id };
}

function act(action, { id, title }) {
  if (action === "add") state.history = [...state.history.filter((one) => one !== id), id];
  if (action === "hide") state.hidden.push(id);
  if (action === "remove") state.history = state.history.filter((one) => one !== id);
  update({ before: { add: `Added ${title}.`, hide: `Hid ${title}.`, remove: `Removed ${title}.` }[action] });
}

async function update({ before = "", aloud = true } = {}) {
  save();
  const turn = ++latest;
  const begun = performance.now();
  const answer = await recommender.recommend(state.history, { k: K, exclude: state.hidden });
  const elapsed = performance.now() - begun;
  if (turn !== latest) return; // another change has overtaken this one
  showHistory();
  showAnswer(answer, elapsed);
  if (aloud) say(`${before} ${spoken(answer, elapsed)}`);
}

/** To those who hear the page. */
function say(words) {
  element("announcement").textContent = words;
}

function showHistory() {
  const items = state.history.map((id) => named({ id, title: recommender.title(id) })).reverse();
  fill(element("history"), items, ["remove"], act);
  element("history-empty").hidden = items.length > 0;
  element("clear").hidden = items.length === 0;
}

function showAnswer(answer, elapsed) {
  const best = answer.items[0]?.score;
  const items = answer.items.map((item) => ({
    ...named(item),
    share: item.score === null ? undefined : Math.exp(item.score - best), // as likely as the first, under softmax
  }));
  element("next-heading").textContent = answer.fallback ? "Popular" : "Next for you";
  fill(element("items"), items, ["add", "hide"], act);
  showTime(answer, elapsed);
  element("legend").hidden = answer.fallback || items.length === 0;
  element("unhide").hidden = state.hidden.length === 0;
  element("unhide").textContent = `Show again the ${state.hidden.length === 1 ? "one" : state.hidden.length} you hid`;
}

function showTime(answer, elapsed) {
  document.querySelector(".time").hidden = answer.fallback;
  if (answer.fallback) return;
  times.push(elapsed);
  const median = [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)];
  element("time").textContent = milliseconds(elapsed);
  element("median").textContent = times.length < 3 ? "" : `median ${milliseconds(median)}`;
}

function milliseconds(time) {
  return time < 0.1 ? "under 0.1 ms" : `${time.toFixed(time < 10 ? 1 : 0)} ms`;
}

function spoken(answer, elapsed) {
  const first = answer.items[0] ? `First: ${named(answer.items[0]).title}.` : "";
  if (answer.fallback) return `Showing popular items. ${first}`;
  return `${answer.items.length} suggestions in ${milliseconds(elapsed)}. ${first}`;
}

function about(seconds) {
  const { manifest } = recommender;
  const model = manifest.models[0];
  const megabytes = (manifest.files[model.files[0]].bytes / 1e6).toFixed(2);
  element("about").textContent =
    `${count(manifest.n_items)} items, a model of ${megabytes} MB (${model.precision}), ` +
    `checked and started in ${seconds.toFixed(1)} s.`;
}

/** The history outlives a reload of this tab, and goes with it; where the browser keeps nothing, it does not. */
function save() {
  try {
    sessionStorage.setItem("lightrec", JSON.stringify(state));
  } catch {
    // Storage is full or forbidden.
  }
}

/** What was saved, as far as it is what this page saves: other pages of the server may write there, too. */
function restore() {
  let saved;
  try {
    saved = JSON.parse(sessionStorage.getItem("lightrec"));
  } catch {
    return;
  }
  for (const name of ["history", "hidden"]) {
    const ids = Array.isArray(saved?.[name]) ? saved[name] : [];
    state[name] = [...new Set(ids.filter((id) => typeof id === "string" && recommender.has(id)))];
  }
}

async function keepOffline() {
  if (!("serviceWorker" in navigator)) return;
  try {
    // "none": the list of files is asked for anew at each visit, whatever the browser has kept of it.
    await navigator.serviceWorker.register("service-worker.js", { updateViaCache: "none" });
  } catch {
    return; // forbidden by the browser's settings: the page works all the same
  }
  await navigator.serviceWorker.ready;
  element("offline").textContent = "This page also works offline now.";
  document.body.dataset.offline = "true";
}

element("clear").addEventListener("click", () => {
  state.history = [];
  update({ before: "Cleared your history." });
  element("search").focus();
});

element("unhide").addEventListener("click", () => {
  state.hidden = [];
  update();
  element("next-heading").focus();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.matches("input")) return;
  event.preventDefault();
  element("search").focus();
});
