/* The inbox: asks twice a second for what came since, groups it by recipient, opens what is chosen. */
"use strict";

const FACES = { sms: "SMS", email: "@", whatsapp: "WA", chat: "Chat" };
const CHANNELS = { sms: "SMS", email: "E-mail", whatsapp: "WhatsApp", chat: "Chat", qr: "QR" };
const LINK = /https?:\/\/[^\s<>"']+/g;
const messages = [];
const live = document.getElementById("live");
const filter = document.getElementById("filter");
const pane = document.getElementById("thread");
let chosen = new URLSearchParams(location.search).get("to");
// An unescaped plus sign in an address bar is a space.
if (chosen && chosen.startsWith(" ")) chosen = "+" + chosen.trim();

function clock(text) {
  const moment = new Date(text);
  const today = moment.toDateString() === new Date().toDateString();
  return today
    ? moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
    : moment.toLocaleDateString([], { day: "numeric", month: "short" });
}

/* Text with its addresses as links. Built from nodes: what a sender wrote is never read as HTML. */
function linked(text) {
  const parts = document.createDocumentFragment();
  let from = 0;
  for (const match of text.matchAll(LINK)) {
    const url = match[0].replace(/[.,;:!?)\]]+$/, "");
    parts.append(text.slice(from, match.index));
    const link = document.createElement("a");
    link.href = url;
    link.textContent = url;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    parts.append(link);
    from = match.index + url.length;
  }
  parts.append(text.slice(from));
  return parts;
}

function groups() {
  const found = new Map();
  for (const message of messages) {
    if (!found.has(message.to)) found.set(message.to, []);
    found.get(message.to).push(message);
  }
  const wanted = filter.value.trim().toLowerCase();
  return [...found.entries()]
    .filter(([to]) => to.toLowerCase().includes(wanted))
    .sort((a, b) => b[1].at(-1).received_at.localeCompare(a[1].at(-1).received_at));
}

function threadNode(to, items) {
  const node = document.getElementById("thread-template").content.cloneNode(true);
  const newest = items.at(-1);
  const unseen = items.some((item) => !item.seen);
  const button = node.querySelector("button");
  if (to === chosen) button.setAttribute("aria-current", "true");
  button.addEventListener("click", () => choose(to));
  button.dataset.to = to;
  node.querySelector(".face").textContent = FACES[newest.channel] || newest.channel.slice(0, 3);
  node.querySelector("strong").textContent = to;
  node.querySelector("time").textContent = clock(newest.received_at);
  node.querySelector("time").dateTime = newest.received_at;
  node.querySelector(".preview").textContent = newest.subject || newest.text || "";
  const mark = node.querySelector(".unseen");
  mark.classList.toggle("on", unseen);
  if (unseen) {
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", "New");
  }
  return node;
}

function drawThreads() {
  const list = document.getElementById("threads");
  const focused = document.activeElement?.dataset?.to;
  const found = groups();
  list.replaceChildren(...found.map(([to, items]) => threadNode(to, items)));
  document.getElementById("none").hidden = found.length > 0;
  if (focused) [...list.querySelectorAll("button")].find((node) => node.dataset.to === focused)?.focus();
}

function messageNode(message) {
  const node = document.getElementById("message-template").content.cloneNode(true).firstElementChild;
  node.querySelector(".channel").textContent = CHANNELS[message.channel] || message.channel;
  node.querySelector("time").textContent = clock(message.received_at);
  node.querySelector("time").dateTime = message.received_at;
  const title = node.querySelector("h3");
  if (message.subject) title.textContent = message.subject;
  else title.remove();
  const body = node.querySelector(".body");
  if (message.html) {
    node.classList.add("letter");
    const frame = document.createElement("iframe");
    frame.setAttribute("sandbox", "allow-popups allow-popups-to-escape-sandbox");
    frame.title = message.subject || "E-mail";
    frame.src = `/inbox/messages/${message.id}/html`;
    body.append(frame);
  } else {
    body.append(linked(message.text || ""));
  }
  return node;
}

function bar(to) {
  const node = document.createElement("div");
  node.className = "bar";
  const back = document.createElement("button");
  back.className = "back";
  back.textContent = "‹";
  back.setAttribute("aria-label", "Back to the list");
  back.addEventListener("click", () => {
    document.body.classList.remove("reading");
    history.replaceState(null, "", "/inbox");
    chosen = null;
    drawThreads();
  });
  const title = document.createElement("h2");
  title.textContent = to;
  node.append(back, title);
  return node;
}

function see(message) {
  if (message.seen || document.hidden) return;
  message.seen = true;
  fetch(`/inbox/messages/${message.id}/open`, { method: "POST" });
}

function drawThread() {
  if (!chosen) return;
  const items = messages.filter((message) => message.to === chosen);
  if (!items.length) return;
  const drawn = new Set([...pane.querySelectorAll("article")].map((node) => node.dataset.id));
  if (pane.dataset.to !== chosen) {
    pane.replaceChildren(bar(chosen));
    pane.dataset.to = chosen;
    drawn.clear();
  }
  for (const message of items.filter((item) => !drawn.has(item.id))) {
    const node = messageNode(message);
    node.dataset.id = message.id;
    pane.append(node);
    node.scrollIntoView({ block: "nearest" });
  }
  items.forEach(see);
  document.body.classList.add("reading");
}

function choose(to) {
  chosen = to;
  history.replaceState(null, "", `/inbox?to=${encodeURIComponent(to)}`);
  drawThread();
  drawThreads();
}

async function poll() {
  try {
    const after = messages.length ? `&after=${messages.at(-1).id}` : "";
    const response = await fetch(`/inbox/messages?details=1${after}`);
    const fresh = await response.json();
    live.textContent = "Live";
    live.dataset.on = "yes";
    if (fresh.length) {
      messages.push(...fresh);
      drawThread();
      drawThreads();
    }
  } catch {
    live.textContent = "Reconnecting…";
    live.dataset.on = "no";
  }
  setTimeout(poll, 500);
}

filter.addEventListener("input", drawThreads);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) {
    drawThread();
    drawThreads();
  }
});
poll();
