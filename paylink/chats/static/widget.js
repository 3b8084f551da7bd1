((site) => {
  const script = document.currentScript;
  if (window.paylinkChat || !script) return;
  const address = new URL(script.src);
  const { origin } = address;
  const make = (tag, values) => Object.assign(document.createElement(tag), values);
  const host = make("paylink-chat", { dir: site.dir });
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
:host{all:initial;position:fixed;z-index:2147483000;inset-block-end:20px;inset-inline-end:20px}
button{width:56px;height:56px;padding:16px;border:0;border-radius:50%;cursor:pointer;background:${site.accent};color:${site.ink};box-shadow:0 4px 16px #0005}
:focus-visible{outline:3px solid ${site.accent};outline-offset:3px}
i{display:block;height:24px;background:currentColor;forced-color-adjust:none;clip-path:path("M4 2h16a2 2 0 0 1 2 2v11a2 2 0 0 1-2 2H9l-5 5v-5a2 2 0 0 1-2-2V4a2 2 0 0 1 2-2z")}
b{position:absolute;inset-block-start:-4px;inset-inline-end:-4px;min-width:22px;border-radius:11px;background:#b42318;color:#fff;font:700 13px/22px system-ui}
div{position:absolute;z-index:1;inset-block-end:68px;inset-inline-end:0;width:376px;height:min(620px,100vh - 108px);border-radius:16px;overflow:hidden;box-shadow:0 8px 40px #0006}
iframe{width:100%;height:100%;border:0}
@media (max-width:480px){div{position:fixed;inset:0;width:auto;height:auto;border-radius:0}}`);
  root.adoptedStyleSheets = [sheet];
  const frame = make("iframe", { src: new URL(`frame${address.search}`, address), title: site.title });
  const panel = make("div", { role: "dialog", ariaLabel: site.title, hidden: true });
  const button = make("button", { hidden: true });
  const badge = make("b");
  button.append(make("i"), badge);
  panel.append(frame);
  root.append(panel, button);
  let unread = 0;
  const tell = (what) => frame.contentWindow.postMessage({ paylink: what }, origin);
  const show = (open) => {
    const news = !open && unread;
    panel.hidden = !open;
    button.ariaExpanded = open;
    button.ariaLabel = site[open ? "close" : "open"] + (news ? `. ${site.unread.replace("{count}", unread)}` : "");
    badge.hidden = !news;
    badge.textContent = unread;
  };
  const open = () => {
    if (button.hidden) return;
    show(true);
    frame.focus();
    tell("open");
  };
  const close = () => {
    show(false);
    tell("close");
    button.focus();
  };
  button.onclick = () => (panel.hidden ? open() : close());
  root.onkeydown = (event) => event.key === "Escape" && close();
  frame.onload = () => tell("hello");
  addEventListener("message", ({ data, origin: from, source }) => {
    if (from !== origin || source !== frame.contentWindow) return;
    if (data.paylink === "close") close();
    if (data.paylink === "unread") {
      button.hidden = false;
      unread = Number(data.count);
      show(!panel.hidden);
    }
  });
  window.paylinkChat = { open, close };
  const begin = () => document.body.append(host);
  document.body ? begin() : addEventListener("DOMContentLoaded", begin);
})
