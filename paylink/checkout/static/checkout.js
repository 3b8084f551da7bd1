/* The customer's page. The server renders every state; this script opens the link, mounts the provider's card
   fields, reports the steps, and asks how it stands. What it says moves no money. */

const LOAD_MS = 20000;
const CALL_MS = 30000;
const PAUSES = [400, 700, 1000, 1500, 2000, 2500, 3000, 4000, 5000];
const LOOK_MS = 20000;
const dark = matchMedia("(prefers-color-scheme: dark)");
const find = (id) => document.getElementById(id);

let page = {};
let stripe = null;
let elements = null;
let busy = false;
let typing = {};
let told = Promise.resolve();
let timer = 0;

/* Reads the data that came with the page, and plays the page's part. */
function begin() {
  clearTimeout(timer);
  page = JSON.parse(find("data").textContent);
  document.querySelectorAll(".unscripted").forEach((node) => node.remove());
  elements = null;
  typing = {};
  busy = false;
  if (page.kind === "entry") whenVisible(enter);
  if (page.kind !== "link") return;
  if (page.state !== "paid") whenVisible(() => tell("opened"));
  if (page.state === "payable") {
    find("pay").addEventListener("submit", pay);
    mount();
    if (page.attempted) recheck();
  }
  if (page.waiting) follow();
  if (page.state === "in_progress") resume();
  else if (!page.attempted) secret(null);
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

/* The token for a cookie: the answer is the link's page, which takes this one's place and address. */
async function enter() {
  try {
    const answer = await send("POST", location.pathname, {});
    show(await answer.text(), answer.headers.get("Content-Location"));
  } catch {
    document.querySelector(".entry").classList.remove("late");
    say("We cannot reach this page just now. Please check your internet connection and try again.");
  }
}

function show(html, address) {
  const next = new DOMParser().parseFromString(html, "text/html");
  if (!next.getElementById("main")) throw new Error("not a page of ours");
  if (address) history.replaceState(null, "", address);
  document.title = next.title;
  find("main").replaceWith(next.getElementById("main"));
  begin();
}

/* The same page as the server has it now. */
async function reload() {
  clearTimeout(timer);
  const answer = await send("GET", page.base);
  show(await answer.text());
  const alert = find("alert");
  (alert && !alert.hidden ? alert : document.querySelector("h1")).focus();
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
function tell(step, reason) {
  const body = reason ? { step, reason } : { step };
  told = told.then(() => send("POST", page.base + "/events", body)).catch(() => undefined);
}

async function standing(method, path) {
  const answer = await send(method, page.base + path, method === "POST" ? {} : undefined);
  if (answer.status === 429) return { state: page.state, later: true };
  if (!answer.ok) throw Object.assign(new Error("refused"), { status: answer.status });
  return answer.json();
}

/* Looks whether the page still tells the truth. */
async function check(method, path) {
  const shown = page;
  try {
    const now = await standing(method, path);
    if (page === shown && !busy && now.state !== page.state) await reload();
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
      amount: page.amount,
      currency: page.currency.toLowerCase(),
      captureMethod: "manual",
      locale: document.documentElement.lang,
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
  work(true);
  const shown = page;
  let sent = false;
  try {
    const { error } = await elements.submit();
    if (error) {
      tell("card_entry_invalid", reason(error));
      return refuse(error.message || page.texts.invalid);
    }
    await Promise.race([told, new Promise((resolve) => setTimeout(resolve, 1500))]);
    const attempt = await begun();
    if (!attempt) return await reload();
    sent = true;
    secret(attempt.client_secret);
    const result = await stripe.confirmPayment({
      elements,
      clientSecret: attempt.client_secret,
      confirmParams: { return_url: location.origin + page.base + "/return" },
      redirect: "if_required",
    });
    await outcome(result.error);
  } catch (error) {
    if (sent) await outcome({ message: page.texts.not_confirmed });
    else refuse(error.detail || page.texts.offline);
  } finally {
    if (page === shown) work(false);
  }
}

/* A page that was reloaded while the bank was asking: the same tab asks on. */
async function resume() {
  const shown = page;
  const clientSecret = secret();
  if (!clientSecret) return;
  try {
    await script(page.script);
    stripe = stripe || window.Stripe(page.key);
    const { paymentIntent } = await stripe.retrievePaymentIntent(clientSecret);
    if (page !== shown || !paymentIntent || paymentIntent.status !== "requires_action") return;
    await stripe.handleNextAction({ clientSecret });
    await check("POST", "/refresh");
  } catch {
    status(page.texts.slow);
  }
}

/* The live attempt's secret, kept by this tab alone and forgotten with it. Given nothing, it is read. */
function secret(value) {
  const name = "paylink" + page.base;
  try {
    if (value === undefined) return sessionStorage.getItem(name);
    if (value === null) sessionStorage.removeItem(name);
    else sessionStorage.setItem(name, value);
  } catch {
    // A browser that keeps nothing cannot ask on; the page still follows what becomes of the attempt.
  }
  return null;
}

/* The attempt, or nothing when the link is not what the page shows any more. */
async function begun() {
  const answer = await send("POST", page.base + "/payments", {});
  const said = await answer.json();
  if (answer.status === 409 || answer.status === 403) return said.code === "payment_refused" ? Promise.reject(said) : null;
  if (!answer.ok) throw answer.status === 429 ? said : new Error("not taken");
  return said.amount === page.amount && said.currency === page.currency ? said : null;
}

/* What became of it, from our own server: what the browser was told is a hint only. */
async function outcome(error) {
  const shown = page;
  for (let round = 0; page === shown; round += 1) {
    const now = await standing("POST", "/refresh").catch(() => null);
    if (now && now.decline) return refuse(now.decline);
    if (now && now.state !== "payable" && now.state !== "in_progress") return reload();
    if (now && !now.later && now.state === "payable" && error && round > 2) return refuse(error.message || page.texts.not_confirmed);
    status(now ? (round > PAUSES.length ? page.texts.slow : page.texts.processing) : page.texts.unknown);
    await new Promise((resolve) => setTimeout(resolve, PAUSES[Math.min(round, PAUSES.length - 1)]));
  }
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
  status(on ? page.texts.processing : "");
  if (on) quiet();
}

function refuse(message) {
  typing.completed = false;
  secret(null);
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
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && page.state === "payable") check("GET", "/status");
});
setInterval(() => {
  if (document.visibilityState === "visible" && page.state === "payable" && !busy) check("GET", "/status");
}, LOOK_MS);
begin();
