/* The customer's page. The server renders every state; this script opens the link, mounts the provider's card
   fields, reports the steps, and asks how it stands. What it says moves no money. */

const LOAD_MS = 20000;
const CALL_MS = 30000;
const PAUSES = [400, 700, 1000, 1500, 2000, 2500, 3000, 4000, 5000];
const LOOK_MS = 20000;
const BESIDE_MS = 4000;
const SEEN_MS = 1000;
const DRAFT_MS = 800;
const dark = matchMedia("(prefers-color-scheme: dark)");
const find = (id) => document.getElementById(id);

let page = {};
let stripe = null;
let elements = null;
let field = null;
let busy = false;
let typing = {};
let told = Promise.resolve();
let timer = 0;
let glance = 0;
let writing = 0;
let awaited = 0;

/* Reads the data that came with the page, and plays the page's part. */
function begin() {
  clearTimeout(timer);
  page = JSON.parse(find("data").textContent);
  document.querySelectorAll(".unscripted").forEach((node) => node.remove());
  elements = null;
  field = null;
  typing = {};
  busy = false;
  page.due = page.amount;
  if (page.kind === "entry") whenVisible(enter);
  if (page.kind !== "link") return;
  look();
  if (page.state === "payable") {
    find("pay").addEventListener("submit", pay);
    mount();
    if (page.parts) parts();
    document.querySelectorAll("[data-by]").forEach((button) => button.addEventListener("click", () => away(button)));
    if (page.attempted) recheck();
  }
  if (page.waiting) follow();
  if (page.state !== "in_progress" && !page.attempted) asked(false);
  if (page.offer) offer();
}

/* A prerendered page, or one in a tab behind, has not been seen by anybody. */
function whenVisible(action) {
  if (document.visibilityState === "visible" && !document.prerendering) return action();
  const again = () => {
    document.removeEventListener("visibilitychange", again);
    document.removeEventListener("prerenderingchange", again);
    whenVisible(action);
  };
  document.addEventListener("visibilitychange", again);
  document.addEventListener("prerenderingchange", again);
}

/* That a person has the page before them: it was in sight for a while on end, or they touched it. */
function look() {
  clearTimeout(glance);
  if (document.visibilityState === "visible" && !document.prerendering) glance = setTimeout(() => seen("visible"), SEEN_MS);
}

function seen(evidence) {
  if (page.kind !== "link" || page.seen || page.state === "paid" || page.state === "continued") return;
  page.seen = true;
  tell("opened", navigator.webdriver ? { evidence, automated: true } : { evidence });
}

/* The token for a cookie: the answer is the link's page, which takes this one's place and address. */
async function enter() {
  try {
    const answer = await send("POST", location.pathname, {});
    show(await answer.text(), answer.headers.get("Content-Location"));
  } catch {
    document.querySelector(".entry").classList.remove("late");
    say(page.texts.unreachable);
  }
}

function show(html, address) {
  const next = new DOMParser().parseFromString(html, "text/html");
  if (!next.getElementById("main")) throw new Error("not a page of ours");
  if (address) history.replaceState(null, "", address);
  document.title = next.title;
  const { lang, dir } = next.documentElement;
  Object.assign(document.documentElement, { lang, dir });
  for (const part of [".bar", "main", ".foot"]) document.querySelector(part).replaceWith(next.querySelector(part));
  begin();
}

/* The same page as the server has it now. */
async function reload() {
  clearTimeout(timer);
  const left = page.amount_left;
  const answer = await send("GET", page.base);
  show(await answer.text());
  const alert = find("alert");
  const paid = page.amount_left !== left && find("paid");
  (alert && !alert.hidden ? alert : paid || document.querySelector("h1")).focus();
}

function send(method, path, body) {
  const headers = { Accept: body ? "application/json, text/html" : "text/html" };
  if (body) headers["Content-Type"] = "application/json";
  if (page.nonce) headers["Paylink-Nonce"] = page.nonce;
  const stop = new AbortController();
  setTimeout(() => stop.abort(), CALL_MS);
  return fetch(path, { method, headers, body: body && JSON.stringify(body), signal: stop.signal, keepalive: Boolean(body) });
}

/* Beacons go one after the other, so that they arrive in the order in which things happened. */
function tell(step, more) {
  told = told.then(() => send("POST", page.base + "/events", { step, ...more })).catch(() => undefined);
}

async function standing(method, path) {
  const answer = await send(method, page.base + path, method === "POST" ? {} : undefined);
  if (answer.status === 429) return { state: page.state, offer: page.offer, amount_left: page.amount_left, later: true };
  if (!answer.ok) throw Object.assign(new Error("refused"), { status: answer.status });
  return answer.json();
}

const moved = (now) => ["state", "offer", "amount_left"].some((name) => now[name] !== page[name]);

/* Looks whether the page still tells the truth. */
async function check(method, path) {
  const shown = page;
  try {
    const now = await standing(method, path);
    if (page === shown && !busy && moved(now)) await reload();
  } catch (error) {
    if (page === shown && !busy && error.status === 403) await reload().catch(() => undefined);
  }
}

/* A page that came while an attempt was on its way: the bank's yes may be a moment behind it. */
async function recheck() {
  const shown = page;
  for (const pause of [0, 600, 2100, 2100, 4000]) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (page !== shown || busy) return;
    await check("POST", "/refresh");
  }
}

/* Asks until the state is another one. The pauses grow; a page nobody sees asks when it is seen again. */
function follow(round = 0) {
  const pause = page.state === "in_progress" ? PAUSES[Math.min(round, PAUSES.length - 1)] : Math.min(3000 + round * 500, 15000);
  timer = setTimeout(() => whenVisible(async () => {
    const shown = page;
    await check("POST", "/refresh");
    if (page !== shown) return;
    if (round === PAUSES.length && page.state === "in_progress") status(page.texts.slow);
    follow(round + 1);
  }), pause);
}

/* --- the card fields ------------------------------------------------------------------------------------------- */

function script(address) {
  if (window.Stripe) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const tag = document.createElement("script");
    tag.src = address;
    tag.onload = resolve;
    tag.onerror = () => {
      tag.remove();
      reject(new Error("not loaded"));
    };
    document.head.append(tag);
  });
}

async function mount() {
  const shown = page;
  const late = setTimeout(() => broken(shown), LOAD_MS);
  try {
    await script(page.script);
    if (page !== shown) return;
    stripe = stripe || window.Stripe(page.key);
    elements = stripe.elements({
      mode: "payment",
      amount: counted(page.due),
      currency: page.currency.toLowerCase(),
      captureMethod: "manual",
      locale: page.locale,
      appearance: appearance(),
    });
    const card = elements.create("payment", { layout: { type: "tabs" } });
    card.on("ready", () => {
      clearTimeout(late);
      ready();
    });
    card.on("loaderror", () => {
      clearTimeout(late);
      broken(shown);
    });
    card.on("focus", () => typed("started"));
    card.on("change", (event) => {
      if (!event.empty) typed("started");
      if (event.complete) typed("completed");
    });
    card.mount("#card");
  } catch {
    clearTimeout(late);
    broken(shown);
  }
}

/* As the provider counts the currency. */
function counted(amount) {
  return page.shift < 0 ? amount / 10 ** -page.shift : amount * 10 ** page.shift;
}

/* Until its script is there, the field holds all that is left and cannot be changed. */
async function parts() {
  const shown = page;
  const { amountField } = await import(page.parts.script).catch(() => ({}));
  if (page !== shown || !amountField) return;
  field = amountField(page, (amount) => {
    if (amount === null || amount === page.due) return;
    page.due = amount;
    if (elements) elements.update({ amount: counted(amount) });
    clearTimeout(writing);
    writing = setTimeout(draft, DRAFT_MS);
  });
  page.kept = page.due;
  field.lock(busy);
}

/* What was chosen goes along to the next device. */
function draft() {
  clearTimeout(writing);
  if (!page.parts || page.kept === undefined || page.due === page.kept) return;
  page.kept = page.due;
  tell("draft", { amount: page.due, left: page.amount_left });
}

/* Going on elsewhere. For a while after that, the page looks often whether it has been left. */
async function away(button) {
  const shown = page;
  draft();
  try {
    const { offer: way } = await import(page.away.script);
    way(button, { ...page.texts, ...page.away.texts }, async (body) => {
      await told;
      const answer = await send("POST", shown.base + "/switch", body);
      if (answer.ok) watch();
      return answer;
    });
  } catch {
    say(page.texts.not_now);
  }
}

function watch() {
  const shown = page;
  let left = 100;
  clearInterval(awaited);
  awaited = setInterval(() => {
    left -= 1;
    if (page !== shown || !left) clearInterval(awaited);
    else if (document.visibilityState === "visible" && !busy) check("GET", "/status");
  }, 2500);
}

function ready() {
  find("skeleton").hidden = true;
  find("submit").disabled = false;
  if (find("retry")) {
    find("retry").remove();
    quiet();
  }
}

function broken(shown) {
  if (page !== shown || busy) return;
  elements = null;
  find("fields").hidden = true;
  find("submit").disabled = true;
  find("card").replaceChildren();
  say(page.texts.loaderror);
  if (find("retry")) return;
  const retry = document.createElement("button");
  retry.id = "retry";
  retry.type = "button";
  retry.className = "button plain";
  retry.textContent = page.texts.retry;
  retry.addEventListener("click", () => {
    retry.remove();
    quiet();
    find("fields").hidden = false;
    mount();
  });
  find("alert").after(retry);
}

function typed(step) {
  if (typing[step]) return;
  typing[step] = true;
  tell("card_entry_" + step);
}

function appearance() {
  const style = getComputedStyle(document.documentElement);
  const value = (name) => style.getPropertyValue(name).trim();
  return {
    theme: dark.matches ? "night" : "stripe",
    variables: {
      colorPrimary: value("--accent"),
      colorBackground: value("--field"),
      colorText: value("--text"),
      colorDanger: value("--danger"),
      borderRadius: "8px",
      fontFamily: "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
    },
  };
}

/* --- paying ---------------------------------------------------------------------------------------------------- */

async function pay(event) {
  event.preventDefault();
  if (busy || !elements) return;
  if (field && !field.check()) return;
  work(true);
  const shown = page;
  let sent = false;
  try {
    const { error } = await elements.submit();
    if (error) {
      tell("card_entry_invalid", { reason: reason(error) });
      return refuse(error.message || page.texts.invalid);
    }
    await Promise.race([told, new Promise((resolve) => setTimeout(resolve, 1500))]);
    const attempt = await begun();
    if (!attempt) return await reload();
    sent = true;
    asked(true);
    const result = await beside(stripe.confirmPayment({
      elements,
      clientSecret: attempt.client_secret,
      confirmParams: { return_url: location.origin + page.base + "/return" },
      redirect: "if_required",
    }));
    await outcome(result.error);
  } catch (error) {
    if (sent) await outcome({ message: page.texts.not_confirmed });
    else if (field && error.errors) field.refuse(page.parts.texts[error.errors[0].code] || page.texts.not_now);
    else refuse(page.texts[error.code] || page.texts.offline);
  } finally {
    if (page === shown) work(false);
  }
}

/* The bank's own page lies over this one while it asks. If what it asks about has ended elsewhere, this page is loaded
   anew, which takes the bank's away. */
function beside(question) {
  const shown = page;
  let open = true;
  const look = setInterval(async () => {
    const now = await standing("GET", "/status").catch(() => null);
    if (open && now && page === shown && now.state !== "payable" && now.state !== "in_progress") location.replace(page.base);
  }, BESIDE_MS);
  return question.finally(() => {
    open = false;
    clearInterval(look);
  });
}

/* --- an attempt that waits ------------------------------------------------------------------------------------- */

/* What can be done about it. The tab in which the bank was asking goes on by itself. */
function offer() {
  find("restart").addEventListener("click", () => choose(restart));
  if (page.offer !== "resume") return;
  find("continue").addEventListener("click", () => choose(resume));
  if (asked()) choose(resume);
}

async function choose(action) {
  if (busy) return;
  const shown = page;
  waits(true);
  try {
    await action();
  } catch {
    if (page === shown) say(page.texts.not_now);
  } finally {
    if (page === shown) waits(false);
  }
}

function waits(on) {
  busy = on;
  document.querySelectorAll(".choices button").forEach((button) => button.setAttribute("aria-disabled", String(on)));
  if (on) quiet();
}

/* Lets the bank ask again. The attempt's secret comes from the server each time and is kept nowhere. */
async function resume() {
  const shown = page;
  const answer = await send("POST", page.base + "/resume", {});
  if (page !== shown) return;
  if (answer.status === 409 || answer.status === 403) return reload();
  if (!answer.ok) throw new Error("not resumed");
  const { client_secret: clientSecret } = await answer.json();
  asked(true);
  await script(page.script);
  stripe = stripe || window.Stripe(page.key);
  await beside(stripe.handleNextAction({ clientSecret }));
  if (page !== shown) return;
  busy = false;
  clearTimeout(timer);
  await check("POST", "/refresh");
  if (page === shown) follow();
}

/* Ends the attempt that is in the way. If it went on meanwhile, the page shows how. */
async function restart() {
  const answer = await send("POST", page.base + "/restart", {});
  if (!answer.ok && answer.status !== 409 && answer.status !== 403) throw new Error("not ended");
  asked(false);
  await reload();
}

/* Whether the bank was asking in this tab: known to it alone, and forgotten with it. Given nothing, it is read. */
function asked(value) {
  const name = "paylink" + page.base;
  try {
    if (value === undefined) return sessionStorage.getItem(name) !== null;
    if (value) sessionStorage.setItem(name, "asked");
    else sessionStorage.removeItem(name);
  } catch {
    // A browser that keeps nothing does not go on by itself; its customer has the button.
  }
  return false;
}

/* The attempt, or nothing when the link is not what the page shows any more. */
async function begun() {
  const answer = await send("POST", page.base + "/payments", page.parts ? { amount: page.due } : {});
  const said = await answer.json();
  if (answer.status === 422 && page.parts) return moved(await standing("GET", "/status")) ? null : Promise.reject(said);
  if (said.code === "payment_refused") throw said;
  if (answer.status === 409 || answer.status === 403 || said.code === "payments_paused") return null;
  if (!answer.ok) throw answer.status === 429 ? said : new Error("not taken");
  return said.amount === page.due && said.currency === page.currency ? said : null;
}

/* What became of it, from our own server: what the browser was told is a hint only. */
async function outcome(error) {
  const shown = page;
  for (let round = 0; page === shown; round += 1) {
    const now = await standing("POST", "/refresh").catch(() => null);
    if (now && now.decline) return refuse(now.decline);
    if (now && now.state !== "payable" && now.state !== "in_progress") return reload();
    if (now && now.amount_left !== page.amount_left) return paidPart();
    if (now && !now.later && now.state === "payable" && error && round > 2) return refuse(page.texts.not_confirmed);
    if (now && now.offer === "resume" && round > 3) {
      asked(false);
      return reload();
    }
    status(now ? (round > PAUSES.length ? page.texts.slow : page.texts.processing) : page.texts.unknown);
    await new Promise((resolve) => setTimeout(resolve, PAUSES[Math.min(round, PAUSES.length - 1)]));
  }
}

/* A part is paid: the page says so and asks for the rest. */
function paidPart() {
  asked(false);
  return reload();
}

function reason({ code = "" }) {
  if (/number/.test(code)) return "number";
  if (/expiry|expired|month|year/.test(code)) return "expiry";
  return /cvc|security/.test(code) ? "cvc" : "incomplete";
}

function work(on) {
  busy = on;
  find("submit").setAttribute("aria-disabled", String(on));
  find("pay").setAttribute("aria-busy", String(on));
  if (field) field.lock(on);
  status(on ? page.texts.processing : "");
  if (on) quiet();
}

function refuse(message) {
  typing.completed = false;
  asked(false);
  say(message);
}

/* --- words ----------------------------------------------------------------------------------------------------- */

function say(message) {
  const alert = find("alert");
  alert.textContent = message;
  alert.hidden = false;
  alert.focus();
  alert.scrollIntoView({ block: "nearest" });
}

function quiet() {
  find("alert").hidden = true;
  find("alert").textContent = "";
}

function status(message) {
  const place = find("status");
  if (place && place.textContent !== message) place.textContent = message;
}

dark.addEventListener("change", () => elements && elements.update({ appearance: appearance() }));
addEventListener("pageshow", (event) => event.persisted && page.kind === "link" && check("GET", "/status"));
for (const kind of ["pointerdown", "keydown"]) {
  addEventListener(kind, (event) => event.isTrusted && seen("input"), { capture: true, passive: true });
}
document.addEventListener("visibilitychange", look);
document.addEventListener("prerenderingchange", look);
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && page.state === "payable") check("GET", "/status");
});
setInterval(() => {
  if (document.visibilityState === "visible" && page.state === "payable" && !busy) check("GET", "/status");
}, LOOK_MS);
begin();
