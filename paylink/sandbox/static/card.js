/* The card form. It tells its parent what a form shows from outside (complete, empty, focus) and never a digit. */
(function () {
  "use strict";

  var rules = window.cardRules;
  var frame = window.sandboxFrame;
  var TEXTS = {
    incomplete_number: "Your card number is incomplete.",
    invalid_number: "Your card number is invalid.",
    incorrect_number: "Your card number is incorrect.",
    incomplete_expiry: "Your card’s expiration date is incomplete.",
    invalid_expiry_month: "Your card’s expiration date is invalid.",
    invalid_expiry_month_past: "Your card’s expiration date is in the past.",
    invalid_expiry_year_past: "Your card’s expiration year is in the past.",
    invalid_expiry_year: "Your card’s expiration year is invalid.",
    incomplete_cvc: "Your card’s security code is incomplete.",
    incorrect_cvc: "Your card’s security code is incorrect.",
    invalid_cvc: "Your card’s security code is invalid.",
    expired_card: "Your card has expired.",
  };
  // Which field a decline of the bank points at.
  var DECLINES = {
    incorrect_number: "number", invalid_number: "number", expired_card: "expiry", invalid_expiry_month: "expiry",
    invalid_expiry_year: "expiry", incorrect_cvc: "cvc", invalid_cvc: "cvc",
  };
  var form = document.getElementById("form");
  var inputs = {};
  ["number", "expiry", "cvc"].forEach(function (name) { inputs[name] = document.getElementById(name); });
  var names = Object.keys(inputs);
  var last = "";

  function fault(name) {
    if (name === "number") return rules.checkNumber(inputs.number.value);
    if (name === "expiry") return rules.checkExpiry(inputs.expiry.value, new Date());
    return rules.checkCvc(inputs.cvc.value, inputs.number.value);
  }

  function show(name, code) {
    var message = code ? TEXTS[code] : "";
    var place = document.getElementById(name + "-error");
    if (place.textContent !== message) place.textContent = message;
    if (code) inputs[name].setAttribute("aria-invalid", "true");
    else inputs[name].removeAttribute("aria-invalid");
    measure();
  }

  function measure() {
    frame.post("height", form.getBoundingClientRect().height + 8);
  }

  function tellChange() {
    var state = {
      elementType: "payment",
      collapsed: false,
      complete: names.every(function (name) { return fault(name) === null; }),
      empty: names.every(function (name) { return inputs[name].value === ""; }),
      value: { type: "card" },
    };
    var text = JSON.stringify(state);
    if (text !== last) frame.post("change", state);
    last = text;
  }

  // Writes the formatted text and leaves the caret behind the digit that it was behind.
  function write(input, formatted) {
    if (input.value === formatted) return;
    var caret = input.selectionStart;
    var atEnd = caret === input.value.length;
    var before = rules.digits(input.value.slice(0, caret)).length;
    input.value = formatted;
    var place = 0;
    for (var seen = 0; place < formatted.length && seen < before; place += 1) {
      if (/\d/.test(formatted[place])) seen += 1;
    }
    place = atEnd ? formatted.length : place;
    if (document.activeElement === input) input.setSelectionRange(place, place);
  }

  function typed(name, event) {
    var input = inputs[name];
    var deleting = Boolean(event.inputType && event.inputType.startsWith("delete"));
    if (name === "number") {
      write(input, rules.formatNumber(input.value));
      var brand = rules.brandOf(rules.digits(input.value));
      document.getElementById("brand").dataset.brand = brand.name;
      inputs.cvc.maxLength = brand.cvc;
      inputs.cvc.placeholder = brand.cvc === 4 && brand.name !== "unknown" ? "4 digits" : "CVC";
    } else if (name === "expiry") {
      write(input, rules.formatExpiry(input.value, deleting));
    } else {
      write(input, rules.digits(input.value).slice(0, 4));
    }
    var code = fault(name);
    show(name, code && !code.startsWith("incomplete") ? code : null);
    tellChange();
    if (!deleting && code === null && event.isTrusted) advance(name);
  }

  // A full field hands on to the next empty one, as people expect of card forms.
  function advance(name) {
    var input = inputs[name];
    var next = inputs[names[names.indexOf(name) + 1]];
    var fixed = name === "number" ? rules.brandOf(rules.digits(input.value)).lengths.length === 1 : name === "expiry";
    if (fixed && next && next.value === "" && document.activeElement === input && input.selectionStart === input.value.length) next.focus();
  }

  function left(name) {
    var code = fault(name);
    if (inputs[name].value !== "") show(name, code);
    setTimeout(function () {
      if (!document.hasFocus() || !form.contains(document.activeElement)) frame.post("blur");
    }, 0);
  }

  function validate() {
    var first = null;
    names.forEach(function (name) {
      var code = fault(name);
      show(name, code);
      if (code && !first) first = { name: name, code: code };
    });
    if (!first) return {};
    inputs[first.name].focus();
    return { error: { type: "validation_error", code: first.code, message: TEXTS[first.code] } };
  }

  function confirm(data) {
    var wrong = validate();
    if (wrong.error) return wrong;
    var expiry = rules.digits(inputs.expiry.value);
    var card = {
      number: rules.digits(inputs.number.value),
      exp_month: Number(expiry.slice(0, 2)),
      exp_year: 2000 + Number(expiry.slice(2)),
      cvc: inputs.cvc.value,
    };
    return frame.confirm(data, { type: "card", card: card }).then(function (result) {
      var name = result.error && DECLINES[result.error.code];
      if (name) show(name, result.error.code);
      return result;
    });
  }

  function init(settings) {
    var appearance = settings.appearance || {};
    var dark = appearance.theme === "night" || (!appearance.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    document.documentElement.dataset.theme = dark ? "night" : "stripe";
    var variables = appearance.variables || {};
    var known = { colorPrimary: "--primary", colorBackground: "--background", colorText: "--text", colorDanger: "--danger", borderRadius: "--radius", fontFamily: "--font", fontSizeBase: "--size" };
    Object.keys(known).forEach(function (name) {
      if (typeof variables[name] === "string") document.documentElement.style.setProperty(known[name], variables[name]);
    });
    names.forEach(function (name) { inputs[name].readOnly = settings.readOnly; });
    measure();
    if (!init.done) frame.post("ready");
    init.done = true;
  }

  names.forEach(function (name) {
    inputs[name].addEventListener("input", function (event) { typed(name, event); });
    inputs[name].addEventListener("blur", function () { left(name); });
  });
  form.addEventListener("focusin", function (event) {
    if (!form.contains(event.relatedTarget)) frame.post("focus");
  });
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape") frame.post("escape");
  });
  new ResizeObserver(measure).observe(form);

  frame.listen({
    init: init,
    validate: validate,
    confirm: confirm,
    focus: function () { inputs.number.focus(); },
    blur: function () { if (document.activeElement) document.activeElement.blur(); },
    clear: function () {
      form.reset();
      names.forEach(function (name) { show(name, null); });
      document.getElementById("brand").dataset.brand = "unknown";
      tellChange();
    },
  });
})();
