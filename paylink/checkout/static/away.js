/* Going on at another device: a code to scan, or the link by e-mail or text to an address that the customer types or
   that the merchant has already. The page only ever knows that one all but hidden. */

const place = () => document.getElementById("way");

function make(tag, attributes = {}, text = "") {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

/* Shows what `button` is for. `ask(body)` sends a wish to the server and gives its answer. */
export function offer(button, texts, ask) {
  const { by, known } = button.dataset;
  const said = make("p", { class: "hint", "aria-live": "polite" });
  const tell = (text) => {
    said.textContent = text;
  };
  const wish = async (body) => {
    if (said.dataset.busy) return null;
    said.dataset.busy = "1";
    tell("");
    const answer = await ask(body).catch(() => null);
    delete said.dataset.busy;
    if (answer && answer.ok) return answer.json();
    const status = answer ? answer.status : 0;
    tell(status === 422 ? texts.wrong : status === 429 || status === 409 ? texts.often : texts.not_now);
    return null;
  };
  if (by === "qr") code(texts, said, wish);
  else message(by, known, texts, said, wish, tell);
}

async function code(texts, said, wish) {
  if (place().querySelector("img")) return;
  place().replaceChildren(said);
  const drawn = await wish({ by: "qr" });
  if (!drawn) return;
  const image = make("img", { alt: texts.code, width: 220, height: 220, src: "data:image/svg+xml," + encodeURIComponent(drawn.svg) });
  place().prepend(image);
  said.textContent = texts.scan;
}

function message(by, known, texts, said, wish, tell) {
  const form = make("form", { novalidate: "" });
  const type = by === "email" ? "email" : "tel";
  const input = make("input", { id: "way-to", type, autocomplete: type, maxlength: 254, "aria-describedby": "way-said", dir: "ltr" });
  const box = make("div", { class: "input" });
  box.append(input);
  said.id = "way-said";
  const send = async (body) => {
    input.removeAttribute("aria-invalid");
    const done = await wish(body);
    if (done) tell(texts.sent.replace("{to}", done.to));
    else if (said.textContent === texts.wrong) {
      input.setAttribute("aria-invalid", "true");
      input.focus();
    }
  };
  form.append(make("label", { for: "way-to" }, texts[by]), box, make("button", { class: "button plain" }, texts.send));
  if (known) {
    const button = make("button", { type: "button", class: "button plain" }, texts.known.replace("{to}", known));
    button.addEventListener("click", () => send({ by }));
    form.prepend(button);
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (input.value.trim()) send({ by, to: input.value.trim() });
    else input.focus();
  });
  form.className = "field";
  form.append(said);
  place().replaceChildren(form);
  (known ? form.querySelector("button") : input).focus();
}
