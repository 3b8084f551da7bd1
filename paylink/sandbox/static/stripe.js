/* The sandbox's stand-in for Stripe.js: the calls that a page with a Payment Element makes, with their shapes.
   Card digits never come here: they stay in a frame of the sandbox's origin, and this script only passes words. */
(function () {
  "use strict";

  var script = document.currentScript || document.querySelector('script[src*="/stripe.js"]');
  var ORIGIN = new URL(script.src, location.href).origin;
  var CHANNEL = "paylink-sandbox";
  var counter = 0;

  function integrationError(message) {
    var error = new Error(message);
    error.name = "IntegrationError";
    return error;
  }

  function assign(target, source) {
    Object.keys(source || {}).forEach(function (name) {
      if (source[name] !== undefined) target[name] = source[name];
    });
    return target;
  }

  // Styles go through the object model, which a policy without inline styles allows.
  function style(node, rules) {
    Object.keys(rules).forEach(function (name) {
      node.style.setProperty(name, rules[name]);
    });
    return node;
  }

  /* A frame of the sandbox's origin and the messages to and from it. */
  function Frame(path, title) {
    this.name = CHANNEL + "-" + (counter += 1);
    this.handlers = {};
    this.waiting = {};
    this.queue = [];
    this.ready = false;
    this.node = document.createElement("iframe");
    this.node.setAttribute("title", title);
    this.node.setAttribute("name", this.name);
    this.node.setAttribute("allow", "payment *");
    this.node.src = ORIGIN + path;
    // A frame is see-through only when its page has the same colour scheme; the pages bring their dark colours along.
    style(this.node, { border: "0", width: "100%", display: "block", "color-scheme": "light" });
    this.listener = this.receive.bind(this);
    window.addEventListener("message", this.listener);
  }

  Frame.prototype.receive = function (event) {
    if (event.origin !== ORIGIN || event.source !== this.node.contentWindow) return;
    var message = event.data;
    if (!message || message.channel !== CHANNEL) return;
    if (message.kind === "reply") {
      var resolve = this.waiting[message.id];
      delete this.waiting[message.id];
      if (resolve) resolve(message.data);
      return;
    }
    if (message.kind === "loaded") this.flush();
    if (this.handlers[message.kind]) this.handlers[message.kind](message.data);
  };

  Frame.prototype.flush = function () {
    this.ready = true;
    this.queue.splice(0).forEach(this.post, this);
  };

  Frame.prototype.post = function (message) {
    if (this.node.contentWindow) this.node.contentWindow.postMessage(message, ORIGIN);
  };

  Frame.prototype.send = function (kind, data, id) {
    var message = { channel: CHANNEL, kind: kind, data: data, id: id };
    if (this.ready) this.post(message);
    else this.queue.push(message);
  };

  Frame.prototype.ask = function (kind, data) {
    var frame = this;
    return new Promise(function (resolve) {
      var id = (counter += 1);
      frame.waiting[id] = resolve;
      frame.send(kind, data, id);
    });
  };

  Frame.prototype.remove = function () {
    window.removeEventListener("message", this.listener);
    this.node.remove();
  };

  /* One Payment Element. */
  function PaymentElement(elements, options) {
    this.elements = elements;
    this.options = assign({}, options);
    this.listeners = {};
    this.frame = null;
    this.destroyed = false;
  }

  PaymentElement.prototype.on = function (name, callback) {
    (this.listeners[name] = this.listeners[name] || []).push(callback);
    return this;
  };
  PaymentElement.prototype.off = function (name, callback) {
    this.listeners[name] = (this.listeners[name] || []).filter(function (known) {
      return callback && known !== callback;
    });
    return this;
  };
  PaymentElement.prototype.once = function (name, callback) {
    var element = this;
    return this.on(name, function once(event) {
      element.off(name, once);
      callback(event);
    });
  };
  PaymentElement.prototype.tell = function (name, event) {
    var full = assign({ elementType: "payment" }, event);
    (this.listeners[name] || []).slice().forEach(function (callback) {
      callback(full);
    });
  };

  PaymentElement.prototype.mount = function (target) {
    if (this.destroyed) throw integrationError("This Element has already been destroyed. Please create a new one.");
    var node = typeof target === "string" ? document.querySelector(target) : target;
    if (!node) throw integrationError("The selector you specified (" + target + ") applies to no DOM elements that are currently on the page.");
    if (this.frame) this.unmount();
    var frame = (this.frame = new Frame("/elements/card", "Secure payment input frame"));
    var element = this;
    style(frame.node, { height: "190px", overflow: "hidden" });
    frame.node.setAttribute("scrolling", "no");
    ["focus", "blur", "change", "escape"].forEach(function (name) {
      frame.handlers[name] = function (data) {
        element.tell(name, data);
      };
    });
    frame.handlers.ready = function () {
      clearTimeout(late);
      element.tell("ready");
    };
    frame.handlers.height = function (height) {
      if (typeof height === "number" && height < 2000) style(frame.node, { height: Math.ceil(height) + "px" });
    };
    var late = setTimeout(function () {
      if (frame === element.frame && !frame.ready) {
        var error = { type: "api_connection_error", message: "The payment form could not be loaded." };
        element.tell("loaderror", { error: error });
      }
    }, 15000);
    frame.send("init", this.settings());
    node.replaceChildren(frame.node);
    this.tell("loaderstart");
  };

  PaymentElement.prototype.settings = function () {
    var options = this.elements.options;
    return {
      appearance: options.appearance || {},
      locale: options.locale || "auto",
      language: navigator.language,
      readOnly: Boolean(this.options.readOnly),
    };
  };
  PaymentElement.prototype.update = function (options) {
    assign(this.options, options);
    if (this.frame) this.frame.send("init", this.settings());
    return this;
  };
  PaymentElement.prototype.focus = function () {
    if (this.frame) this.frame.send("focus");
  };
  PaymentElement.prototype.blur = function () {
    if (this.frame) this.frame.send("blur");
  };
  PaymentElement.prototype.clear = function () {
    if (this.frame) this.frame.send("clear");
  };
  PaymentElement.prototype.collapse = function () {};
  PaymentElement.prototype.unmount = function () {
    if (this.frame) this.frame.remove();
    this.frame = null;
  };
  PaymentElement.prototype.destroy = function () {
    this.unmount();
    this.destroyed = true;
    this.elements.element = null;
  };

  /* The group of elements of one payment. */
  function Elements(options) {
    this.options = assign({}, options);
    this.element = null;
    this.submitted = false;
    if (!this.options.clientSecret) this.check();
  }

  Elements.prototype.check = function () {
    var options = this.options;
    if (options.mode !== "payment") throw integrationError("Invalid value for elements(): mode should be payment; the sandbox plays no other.");
    if (!Number.isInteger(options.amount) || options.amount < 1) throw integrationError("Invalid value for elements(): amount must be greater than 0.");
    if (typeof options.currency !== "string" || !/^[a-z]{3}$/.test(options.currency)) throw integrationError("Invalid value for elements(): currency should be one of the supported currencies, in lower case.");
  };
  Elements.prototype.create = function (type, options) {
    if (type !== "payment") throw integrationError("A valid Element name must be provided. The sandbox plays: payment.");
    if (this.element) throw integrationError("Can only create one Payment Element per Elements group.");
    this.element = new PaymentElement(this, options);
    return this.element;
  };
  Elements.prototype.getElement = function (type) {
    return type === "payment" || typeof type !== "string" ? this.element : null;
  };
  Elements.prototype.update = function (options) {
    assign(this.options, options);
    if (!this.options.clientSecret) this.check();
    this.submitted = false;
    if (this.element) this.element.update({});
  };
  Elements.prototype.fetchUpdates = function () {
    return Promise.resolve({});
  };
  Elements.prototype.submit = function () {
    var elements = this;
    if (!this.element || !this.element.frame) throw integrationError("elements.submit() needs a mounted Payment Element.");
    return this.element.frame.ask("validate").then(function (result) {
      elements.submitted = !result.error;
      return result.error ? { error: result.error } : { selectedPaymentMethod: "card" };
    });
  };

  /* 3-D Secure: the bank's page in a frame above everything. Resolves when the page says that it is done. */
  function challenge(url) {
    return new Promise(function (resolve) {
      var before = document.activeElement;
      var frame = new Frame(new URL(url).pathname, "3D Secure authentication");
      var shade = document.createElement("div");
      shade.setAttribute("role", "dialog");
      shade.setAttribute("aria-modal", "true");
      shade.setAttribute("aria-label", "3D Secure authentication");
      style(shade, { position: "fixed", inset: "0", "z-index": "2147483647", background: "rgba(15, 18, 32, 0.6)" });
      style(frame.node, { position: "absolute", inset: "0", height: "100%", background: "transparent" });
      function keep() {
        if (document.activeElement !== frame.node) frame.node.focus();
      }
      frame.handlers["3ds-complete"] = function () {
        document.removeEventListener("focusin", keep);
        frame.remove();
        shade.remove();
        if (before && before.focus) before.focus();
        resolve();
      };
      document.addEventListener("focusin", keep);
      shade.append(frame.node);
      document.body.append(shade);
      frame.node.focus();
    });
  }

  function goTo(url, intent, status) {
    var target = new URL(url, location.href);
    target.searchParams.set("payment_intent", intent.id);
    target.searchParams.set("payment_intent_client_secret", intent.client_secret);
    target.searchParams.set("redirect_status", status);
    location.assign(target.href);
    return new Promise(function () {});
  }

  function Stripe(publishableKey) {
    if (!(this instanceof Stripe)) return new Stripe(publishableKey);
    if (!/^pk_(test|live)_/.test(publishableKey || "")) throw integrationError("Invalid value for Stripe(): apiKey should be a publishable key.");
    this.key = publishableKey;
    this.controllerFrame = null;
    this._apiVersion = "2026-10-28.endive";
  }
  Stripe.version = "endive";

  // Calls without a card form go by a hidden frame, so that the page's own policy need not allow them.
  Stripe.prototype.controller = function () {
    if (!this.controllerFrame) {
      var frame = (this.controllerFrame = new Frame("/elements/controller", "Secure payment controller"));
      style(frame.node, { position: "absolute", width: "1px", height: "1px", opacity: "0", "pointer-events": "none" });
      frame.node.setAttribute("aria-hidden", "true");
      frame.node.setAttribute("tabindex", "-1");
      document.body.append(frame.node);
    }
    return this.controllerFrame;
  };

  Stripe.prototype.elements = function (options) {
    return new Elements(options);
  };
  Stripe.prototype.registerAppInfo = function () {};

  Stripe.prototype.retrievePaymentIntent = function (clientSecret) {
    return this.controller().ask("retrieve", { key: this.key, clientSecret: clientSecret });
  };

  Stripe.prototype.confirmPayment = function (options) {
    var stripe = this;
    var elements = options.elements;
    var clientSecret = options.clientSecret || (elements && elements.options.clientSecret);
    var params = options.confirmParams || {};
    if (!clientSecret) return Promise.reject(integrationError("Invalid value for stripe.confirmPayment(): clientSecret is missing."));
    if (options.redirect !== "if_required" && !params.return_url) return Promise.reject(integrationError("stripe.confirmPayment(): the `confirmParams.return_url` argument is required unless `redirect` is 'if_required'."));
    if (elements && !elements.options.clientSecret && !elements.submitted) return Promise.reject(integrationError("elements.submit() must be called before stripe.confirmPayment()."));
    var frame = elements ? elements.element && elements.element.frame : this.controller();
    if (!frame) return Promise.reject(integrationError("stripe.confirmPayment(): the Payment Element is not mounted."));
    var question = { key: this.key, clientSecret: clientSecret, params: params };
    if (elements && !elements.options.clientSecret) {
      question.expected = {
        amount: elements.options.amount,
        currency: elements.options.currency,
        capture_method: elements.options.captureMethod,
      };
    }
    return frame.ask("confirm", question).then(function (result) {
      return stripe.settle(result, clientSecret, options);
    });
  };

  Stripe.prototype.settle = function (result, clientSecret, options) {
    var stripe = this;
    var params = options.confirmParams || {};
    if (result.error) return result;
    var intent = result.paymentIntent;
    var action = intent.next_action;
    if (intent.status === "requires_action" && action) {
      if (action.type === "redirect_to_url") {
        location.assign(action.redirect_to_url.url);
        return new Promise(function () {});
      }
      return challenge(action.use_stripe_sdk.stripe_js)
        .then(function () {
          return stripe.retrievePaymentIntent(clientSecret);
        })
        .then(function (after) {
          return stripe.settle(afterChallenge(after), clientSecret, options);
        });
    }
    if (options.redirect !== "if_required" && params.return_url) return goTo(params.return_url, intent, "succeeded");
    return result;
  };

  function afterChallenge(result) {
    var intent = result.paymentIntent;
    if (!intent || intent.status !== "requires_payment_method" || !intent.last_payment_error) return result;
    return { error: assign(assign({}, intent.last_payment_error), { payment_intent: intent }) };
  }

  Stripe.prototype.handleNextAction = function (options) {
    var stripe = this;
    return this.retrievePaymentIntent(options.clientSecret).then(function (result) {
      return stripe.settle(result, options.clientSecret, { redirect: "if_required" });
    });
  };

  window.Stripe = Stripe;
})();
