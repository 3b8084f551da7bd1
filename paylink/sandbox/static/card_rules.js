/* What a card number, a date and a security code look like. Pure: text in, text and codes out. */
(function () {
  "use strict";

  var BRANDS = [
    { name: "amex", pattern: /^3[47]/, lengths: [15], gaps: [4, 10], cvc: 4 },
    { name: "diners", pattern: /^3(0[0-5]|[689])/, lengths: [14, 16, 19], gaps: [4, 8, 12, 16], cvc: 3 },
    { name: "jcb", pattern: /^35/, lengths: [16, 19], gaps: [4, 8, 12, 16], cvc: 3 },
    { name: "mastercard", pattern: /^(5[1-5]|2(22[1-9]|2[3-9]|[3-6]|7[01]|720))/, lengths: [16], gaps: [4, 8, 12], cvc: 3 },
    { name: "discover", pattern: /^6(011|4[4-9]|5)/, lengths: [16, 19], gaps: [4, 8, 12, 16], cvc: 3 },
    { name: "unionpay", pattern: /^62/, lengths: [16, 17, 18, 19], gaps: [4, 8, 12, 16], cvc: 3 },
    { name: "visa", pattern: /^4/, lengths: [16], gaps: [4, 8, 12], cvc: 3 },
  ];
  var UNKNOWN = { name: "unknown", lengths: [16, 19], gaps: [4, 8, 12, 16], cvc: 4 };

  function digits(text) {
    return text.replace(/\D/g, "");
  }

  function brandOf(number) {
    return BRANDS.find(function (brand) { return brand.pattern.test(number); }) || UNKNOWN;
  }

  function luhn(number) {
    return Array.from(number).reverse().reduce(function (sum, digit, index) {
      var value = Number(digit) * (index % 2 ? 2 : 1);
      return sum + (value > 9 ? value - 9 : value);
    }, 0) % 10 === 0;
  }

  function formatNumber(text) {
    var number = digits(text);
    var brand = brandOf(number);
    number = number.slice(0, Math.max.apply(null, brand.lengths));
    return Array.from(number).map(function (digit, index) {
      return brand.gaps.includes(index) ? " " + digit : digit;
    }).join("");
  }

  /* "1" waits for a second digit, "5" means May; a deletion is left as it is. Four-digit years from autofill fit. */
  function formatExpiry(text, deleting) {
    var parts = /^\s*(\d{1,2})\s*[/-]\s*(\d{4})\s*$/.exec(text);
    var number = parts ? parts[1].padStart(2, "0") + parts[2].slice(2) : digits(text).slice(0, 4);
    if (!deleting && /^[2-9]$/.test(number)) number = "0" + number;
    if (!deleting && /^\d\s*\/$/.test(text)) number = "0" + digits(text);
    if (number.length < 2 || (deleting && number.length === 2)) return number;
    return number.slice(0, 2) + " / " + number.slice(2);
  }

  function checkNumber(text) {
    var number = digits(text);
    var lengths = brandOf(number).lengths;
    if (number.length < Math.min.apply(null, lengths)) return "incomplete_number";
    return luhn(number) && lengths.includes(number.length) ? null : "invalid_number";
  }

  function checkExpiry(text, now) {
    var number = digits(text);
    if (number.length >= 2 && !/^(0[1-9]|1[0-2])/.test(number)) return "invalid_expiry_month";
    if (number.length < 4) return "incomplete_expiry";
    var month = Number(number.slice(0, 2));
    var year = 2000 + Number(number.slice(2));
    if (year < now.getFullYear()) return "invalid_expiry_year_past";
    if (year === now.getFullYear() && month < now.getMonth() + 1) return "invalid_expiry_month_past";
    return year > now.getFullYear() + 50 ? "invalid_expiry_year" : null;
  }

  function checkCvc(text, number) {
    var brand = brandOf(digits(number));
    var least = brand.name === "unknown" ? 3 : brand.cvc;
    return digits(text).length < least ? "incomplete_cvc" : null;
  }

  window.cardRules = {
    brandOf: brandOf, digits: digits, formatNumber: formatNumber, formatExpiry: formatExpiry,
    checkNumber: checkNumber, checkExpiry: checkExpiry, checkCvc: checkCvc,
  };
})();
