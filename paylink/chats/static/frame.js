// The conversation. It runs in a frame of our own origin; the page around it is told no more than open, close and how
// many messages wait.
const data = JSON.parse(document.getElementById("data").textContent);
const { texts } = data;
const find = (id) => document.getElementById(id);
const log = find("scroll");
const form = document.querySelector("form");
const LONGEST_PAUSE_S = 30;
const TIMEOUT_MS = 45_000;

// Third-party storage may be blocked or missing; then the conversation lasts as long as the page does.
const key = `paylink-chat:${data.account}`;
let secret = "";
try {
  secret = localStorage.getItem(key) ?? "";
} catch {
  // Kept in memory only.
}
function keep(value) {
  secret = value;
  try {
    if (value) localStorage.setItem(key, value);
    else localStorage.removeItem(key);
  } catch {
    // As above.
  }
}

let site = "";
let last = "";
let following = false;
let sending = false;
// Messages from the merchant that were not on the screen yet.
const unread = new Set();

// ---------- the page around

function tell(message) {
  if (site) parent.postMessage(message, site);
}

function count() {
  tell({ paylink: "unread", count: unread.size });
}

addEventListener("message", ({ data: message, origin, source }) => {
  if (source !== parent || parent === window || !data.origins.includes(origin)) return;
  if (message?.paylink === "hello") {
    site = origin;
    find("alone").hidden = true;
    find("chat").hidden = false;
    count();
    if (secret) follow();
  }
  if (message?.paylink === "open") find("text").focus();
});
find("close").addEventListener("click", () => tell({ paylink: "close" }));
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.isComposing) tell({ paylink: "close" });
});

// Begun in another tab: one conversation for both.
addEventListener("storage", (event) => {
  if (event.key !== key || secret || !event.newValue) return;
  secret = event.newValue;
  if (site) follow();
});

// ---------- the server

class Refused extends Error {
  constructor(status, code) {
    super(code);
    this.status = status;
    this.code = code;
  }
}

async function call(path, body) {
  const headers = secret ? { "Paylink-Chat": secret } : {};
  if (body) headers["Content-Type"] = "application/json";
  const answer = await fetch(`${data.base}/${path}`, {
    method: body ? "POST" : "GET",
    headers,
    body: body && JSON.stringify(body),
    cache: "no-store",
    credentials: "omit",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (answer.status === 204) return {};
  const content = await answer.json();
  if (!answer.ok) throw new Refused(answer.status, content.errors?.[0]?.code ?? content.code);
  return content;
}

async function begin() {
  if (secret) return;
  const begun = await call("chats", { site, name: find("name").value.trim() || null, locale: data.language });
  keep(begun.secret);
  showCode(begun.code);
  follow();
}

function forget() {
  keep("");
  last = "";
  unread.clear();
  count();
  find("code").hidden = true;
  for (const id of ["first", "begin"]) find(id).hidden = false;
  find("state").textContent = texts.over;
}

// One request after another, each answered when there is something new or after a while.
async function follow() {
  if (following) return;
  following = true;
  let wait = 0;
  let pause = 0;
  while (secret) {
    try {
      const page = await call(`messages?wait=${wait}&after=${last}`);
      wait = 1;
      pause = 0;
      find("state").textContent = "";
      showCode(page.code);
      show(page.messages);
    } catch (error) {
      if (error.status === 401) forget();
      else {
        pause = Math.min(LONGEST_PAUSE_S, pause * 2 || 1);
        find("state").textContent = texts.offline;
        await new Promise((done) => setTimeout(done, pause * (500 + Math.random() * 500)));
      }
    }
  }
  following = false;
}

// Worth another try later, and never worth a word to the visitor: a reload says it again.
const received = (upTo, read) => call("receipts", { up_to: upTo, read }).catch(() => {});

// ---------- the conversation

function showCode(code) {
  find("code").hidden = false;
  find("code").querySelector("strong").textContent = code;
  for (const id of ["first", "begin"]) find(id).hidden = true;
}

function element(tag, className, text = "") {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

const seen = new IntersectionObserver((entries) => {
  const shown = entries.filter((entry) => entry.isIntersecting).map((entry) => entry.target);
  if (!shown.length) return;
  for (const one of shown) seen.unobserve(one);
  const upTo = shown.map((one) => one.dataset.id).sort().at(-1);
  for (const id of unread) if (id <= upTo) unread.delete(id);
  count();
  received(upTo, true);
}, { threshold: 0.5 });

function show(messages) {
  const fresh = messages.filter((one) => one.id > last);
  if (!fresh.length) return;
  last = fresh.at(-1).id;
  for (const message of fresh) log.append(bubble(message));
  const incoming = fresh.filter((one) => one.sender !== "visitor");
  if (incoming.length) {
    for (const one of incoming) if (!one.read) unread.add(one.id);
    if (incoming.some((one) => !one.delivered)) received(last, false);
    count();
  }
  log.scrollTop = log.scrollHeight;
}

function bubble(message) {
  const own = message.sender === "visitor";
  const found = element("div", own ? "out" : "in");
  found.dir = "auto";
  found.dataset.id = message.id;
  found.append(element("span", "who", own ? texts.you : message.name ?? data.title), element("span", "", message.text));
  if (message.link) found.append(message.url ? payButton(message.url) : element("span", "note", `\n${texts.gone}`));
  if (!own && !message.read) seen.observe(found);
  return found;
}

function payButton(url) {
  const address = new URL(url);
  if (!["https:", "http:"].includes(address.protocol)) return element("span", "note", `\n${texts.gone}`);
  const button = element("a", "button", texts.pay);
  Object.assign(button, { href: address.href, target: "_blank", rel: "noopener noreferrer" });
  const group = element("span", "");
  group.append(button, element("span", "note", texts.pay_note));
  return group;
}

// ---------- writing

function trouble(error) {
  const byCode = { card_number_not_allowed: texts.card, string_too_long: texts.long, rate_limited: texts.slow };
  find("trouble").textContent = byCode[error.code] ?? texts.failed;
}

async function attempt(work) {
  if (sending) return;
  sending = true;
  const button = form.querySelector(".button");
  button.setAttribute("aria-disabled", "true");
  find("trouble").textContent = "";
  try {
    await work();
  } catch (error) {
    if (error.status === 401) forget();
    else trouble(error);
  } finally {
    sending = false;
    button.removeAttribute("aria-disabled");
  }
}

function send() {
  const field = find("text");
  const text = field.value.trim();
  if (!text) return field.focus();
  return attempt(async () => {
    await begin();
    await call("messages", { text });
    field.value = "";
    field.focus();
  });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
find("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send();
  }
});
find("begin").addEventListener("click", () => attempt(async () => {
  await begin();
  find("text").focus();
}));

document.documentElement.style.setProperty("--accent", data.accent);
document.documentElement.style.setProperty("--ink", data.ink);
