"use strict";
if (window.parent !== window) {
  const parentOrigin = document.documentElement.dataset.parentOrigin;
  window.parent.postMessage({ channel: "paylink-sandbox", kind: "3ds-complete" }, parentOrigin);
}
