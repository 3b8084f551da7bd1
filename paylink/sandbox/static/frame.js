/* What the card frame and the controller frame share: the parent's messages and the calls to the API. */
(function () {
  "use strict";

  var CHANNEL = "paylink-sandbox";
  var PARENT = document.documentElement.dataset.parentOrigin;

  function post(kind, data, id) {
    window.parent.postMessage({ channel: CHANNEL, kind: kind, data: data, id: id }, PARENT);
  }

  /* Only the checkout may speak to this frame, and only as its parent. A handler's promise is the reply. */
  function listen(handlers) {
    window.addEventListener("message", function (event) {
      if (event.origin !== PARENT || event.source !== window.parent) return;
      var message = event.data;
      if (!message || message.channel !== CHANNEL) return;
      var handler = Object.hasOwn(handlers, message.kind) ? handlers[message.kind] : null;
      if (!handler) return;
      var answer = handler(message.data || {});
      if (message.id !== undefined) {
        Promise.resolve(answer).then(function (data) {
          post("reply", data, message.id);
        });
      }
    });
    post("loaded");
  }

  function flatten(tree, prefix, into) {
    Object.keys(tree).forEach(function (name) {
      var key = prefix ? prefix + "[" + name + "]" : name;
      var value = tree[name];
      if (value === undefined || value === null) return;
      if (typeof value === "object") flatten(value, key, into);
      else into.append(key, String(value));
    });
    return into;
  }

  function intentPath(clientSecret) {
    return "/v1/payment_intents/" + encodeURIComponent(String(clientSecret).split("_secret_")[0]);
  }

  function call(method, path, key, params) {
    var form = flatten(params, "", new URLSearchParams());
    var request = { method: method, headers: { Authorization: "Bearer " + key } };
    if (method === "POST") request.body = form;
    else path += "?" + form;
    return fetch(path, request)
      .then(function (response) {
        return response.json();
      })
      .then(
        function (body) {
          return body.error ? { error: body.error } : { paymentIntent: body };
        },
        function () {
          var message = "We are experiencing issues connecting to our payments provider. Please check your internet connection and try again.";
          return { error: { type: "api_connection_error", message: message } };
        }
      );
  }

  function retrieve(data) {
    return call("GET", intentPath(data.clientSecret), data.key, { client_secret: data.clientSecret });
  }

  /* The options that the form was made with must be those of the intent, or the payer agreed to another sum. */
  function mismatch(expected, intent) {
    var wrong = Object.keys(expected || {}).find(function (name) {
      // Stripe turns the automatic capture that a page names into its asynchronous kind.
      var actual = name === "capture_method" ? intent[name].replace("_async", "") : intent[name];
      return expected[name] !== undefined && expected[name].toString().replace("_async", "") !== actual.toString();
    });
    if (!wrong) return null;
    var message = "The `" + wrong + "` of the PaymentIntent does not match the one given to stripe.elements().";
    return { type: "invalid_request_error", code: "payment_intent_elements_mismatch", message: message, param: wrong };
  }

  function confirm(data, methodData) {
    var params = Object.assign({}, data.params, { client_secret: data.clientSecret, use_stripe_sdk: true });
    if (methodData) params.payment_method_data = Object.assign({}, params.payment_method_data, methodData);
    return retrieve(data).then(function (found) {
      if (found.error) return found;
      var wrong = mismatch(data.expected, found.paymentIntent);
      if (wrong) return { error: wrong };
      return call("POST", intentPath(data.clientSecret) + "/confirm", data.key, params);
    });
  }

  window.sandboxFrame = { post: post, listen: listen, retrieve: retrieve, confirm: confirm };
})();
