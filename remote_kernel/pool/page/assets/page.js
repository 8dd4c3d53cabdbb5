// Keeps the page up to date: the server's words into the places that are made for them, once a second.

import { drawChart } from "./chart.js";

const FEED = "/.local/page/feed";
const EVERY_MS = 1000;
const PATIENCE_MS = 10000;

const $ = (id) => document.getElementById(id);

let view = null;
let lastEvent = null;
let trouble = "";

function fill(node, fields) {
  for (const place of node.querySelectorAll("[data-field]")) {
    const text = fields[place.dataset.field];
    if (text !== undefined && place.textContent !== text) place.textContent = text;
  }
}

function blank(id) {
  return $(id).content.firstElementChild.cloneNode(true);
}

function showSessions(sessions) {
  const rows = new Map([...$("sessions").children].map((row) => [row.dataset.label, row]));
  for (const session of sessions) {
    const row = rows.get(session.label) ?? $("sessions").appendChild(blank("blank-session"));
    rows.delete(session.label);
    row.dataset.label = row.querySelector("input").value = session.label;
    row.dataset.state = session.state;
    row.querySelector(".left").setAttribute("width", session.left_percent);
    fill(row, session);
  }
  for (const row of rows.values()) {
    // The keyboard goes on where it was, near enough.
    if (row.contains(document.activeElement)) $("sessions-title").focus();
    row.remove();
  }
  $("sessions-section").classList.toggle("empty", sessions.length === 0);
}

function showEvents(events) {
  const list = $("events");
  while (list.children.length > events.length) list.lastElementChild.remove();
  while (list.children.length < events.length) list.append(blank("blank-event"));
  events.forEach((event, index) => fill(list.children[index], event));
  const newest = events.length ? `${events[0].who} ${events[0].what}`.trim() : "";
  if (lastEvent !== null && newest !== lastEvent) $("news").textContent = newest;
  lastEvent = newest;
}

function showLog(text) {
  const log = $("log");
  if (log.textContent === text) return;
  const isAtEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
  log.textContent = text;
  if (isAtEnd) log.scrollTop = log.scrollHeight;
}

function show() {
  const { in_use: inUse, max_sessions: most } = view.figures;
  document.title = `${inUse} of ${most} · Session pool`;
  fill(document.querySelector(".figures"), view.figures);
  $("summary").textContent = view.chart.summary;
  drawChart($("chart"), view.chart);
  showSessions(view.sessions);
  showEvents(view.events);
  showLog(view.log);
}

// What is wrong, as the id of a text in the page; "" when all is well.
function setTrouble(id) {
  if (id === trouble) return;
  trouble = id;
  document.body.classList.toggle("troubled", id !== "");
  $("alert").replaceChildren(...(id ? [$(id).content.cloneNode(true)] : []));
  for (const button of document.querySelectorAll("button")) button.disabled = id !== "";
}

async function update() {
  try {
    const answer = await fetch(FEED, { signal: AbortSignal.timeout(PATIENCE_MS) });
    if (answer.status === 401) return setTrouble("visit-over");
    if (!answer.ok) throw new Error(answer.statusText);
    view = await answer.json();
  } catch {
    return setTrouble("pool-gone");
  }
  setTrouble("");
  show();
}

async function stopSession(event) {
  event.preventDefault();
  const form = event.target;
  try {
    await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), redirect: "manual" });
  } catch {
    setTrouble("pool-gone");
  }
  await update();
}

function closeQuestion(event) {
  const question = event.key === "Escape" && event.target.closest("details[open]");
  if (!question) return;
  question.open = false;
  question.querySelector("summary").focus();
}

async function follow() {
  if (!document.hidden) await update();
  setTimeout(follow, EVERY_MS);
}

$("sessions").addEventListener("submit", stopSession);
$("sessions").addEventListener("keydown", closeQuestion);
document.addEventListener("visibilitychange", () => document.hidden || update());
new ResizeObserver(() => view && drawChart($("chart"), view.chart)).observe($("chart").parentElement);
$("log").scrollTop = $("log").scrollHeight;
follow();
