/* The field in which a customer says how much to pay now. What it finds is a wish: the server judges the amount again,
   by the same rules and with the same sentences. */

const ODD_DIGITS = [0x0660, 0x06f0];

/* 4999 → "£49.99", as the server writes it. `w` is the currency's writing. */
export function write(minor, w) {
  const digits = String(minor).padStart(w.exponent + 1, "0");
  const whole = digits.slice(0, digits.length - w.exponent);
  const fraction = w.exponent ? w.point + digits.slice(-w.exponent) : "";
  return w.before + grouped(whole, w) + fraction + w.after;
}

function grouped(whole, { group, groups: [last, further] }) {
  const parts = [];
  for (let rest = whole, size = last; rest; size = further) {
    parts.unshift(rest.slice(-size));
    rest = rest.slice(0, -size);
  }
  return parts.join(group);
}

/* What a person typed → minor units, or null where it is not one clear amount. Takes the currency's sign or code,
   groups, and a comma or a point for the decimals; "1,500" of a currency with three decimals is refused, not guessed. */
export function read(text, w, code) {
  const found = split(bare(text, w, code), w);
  if (!found) return null;
  const [whole, typed] = found;
  const fraction = typed.slice(0, w.exponent).padEnd(w.exponent, "0");
  if (/[1-9]/.test(typed.slice(w.exponent))) return null;
  const minor = Number(whole + fraction);
  return whole + typed && Number.isSafeInteger(minor) ? minor : null;
}

function bare(text, w, code) {
  let plain = text.trim();
  for (const sign of [w.before.trim(), w.after.trim()]) if (sign) plain = plain.split(sign).join("");
  return plain
    .replace(/[\s'’‘`_\u200e\u200f\u061c]|\p{Sc}/gu, "")
    .replace(new RegExp(`^${code}|${code}$`, "i"), "")
    .replace(/[\u0660-\u0669\u06f0-\u06f9]/g, (digit) => {
      const value = digit.codePointAt(0);
      return String(value - ODD_DIGITS.findLast((zero) => zero <= value));
    })
    .replace(/\u066b/g, ".")
    .replace(/\u066c/g, ",");
}

/* The digits before and after the decimal sign. */
function split(plain, w) {
  if (!/^[\d.,]+$/.test(plain)) return null;
  const signs = plain.replace(/\d/g, "");
  const decimal = signs && decimalSign(plain, signs, w);
  if (decimal === null) return null;
  const [whole, fraction = "", ...more] = decimal ? plain.split(decimal) : [plain];
  if (more.length) return null;
  const groups = whole.split(/[.,]/);
  return groups.length === 1 || wellGrouped(groups) ? [groups.join(""), fraction] : null;
}

/* Which of the signs in `plain` parts the decimals: "" for none of them, null when that cannot be told. */
function decimalSign(plain, signs, w) {
  const last = signs.at(-1);
  if (new Set(signs).size > 1) return last;
  if (signs.length > 1) return "";
  const after = plain.length - 1 - plain.indexOf(last);
  if (after !== 3) return last;
  if (last === w.point) return w.exponent ? last : "";
  return w.exponent === 3 ? null : "";
}

function wellGrouped(groups) {
  const middle = groups.slice(1, -1);
  return /^\d{1,3}$/.test(groups[0]) && /^\d{3}$/.test(groups.at(-1)) && middle.every((one) => /^\d{2,3}$/.test(one));
}

/* The name of what is wrong with an amount, among `texts`; the same order as the server's. */
export function fault(amount, { left, least, step }) {
  if (amount === null) return "unreadable";
  if (amount === left) return null;
  if (amount > left) return "amount_too_large";
  if (amount < least) return "amount_too_small";
  if (left - amount < least) return "amount_leaves_too_little";
  return amount % step ? "amount_not_chargeable" : null;
}

/* Brings the field to life. `changed` is told the amount as it is typed, or null while it cannot be paid. */
export function amountField(page, changed) {
  const { parts, currency } = page;
  const [input, error, button] = ["amount", "amount-error", "submit"].map((id) => document.getElementById(id));
  const judge = () => {
    const amount = read(input.value, parts.writing, currency);
    return [amount, fault(amount, parts)];
  };
  const show = (message) => {
    error.textContent = message;
    if (message) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };
  const typed = () => {
    const [amount, wrong] = judge();
    if (!wrong) show("");
    const { pay, none } = parts.texts;
    button.textContent = wrong ? none : pay.replace("{amount}", write(amount, parts.writing));
    changed(wrong ? null : amount);
  };
  input.addEventListener("input", typed);
  input.addEventListener("change", () => {
    // A line that appears now would push the button away from under the finger; pressing it says the same.
    if (button.matches(":active")) return;
    const [, wrong] = judge();
    if (wrong) show(parts.texts[wrong]);
  });
  input.readOnly = false;
  typed();
  return {
    /* False, and said under the field, when what stands in it cannot be paid. */
    check() {
      const [, wrong] = judge();
      if (wrong) this.refuse(parts.texts[wrong]);
      return !wrong;
    },
    refuse(message) {
      show(message);
      input.focus();
      input.select();
    },
    lock(on) {
      input.readOnly = on;
    },
  };
}
