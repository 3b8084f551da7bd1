"""What the visitor's browser loads: the script on the merchant's site, and the page in its frame with style and script.

The script is one file with the account's few settings in it. The page is ours alone: it runs our script, loads nothing
from elsewhere, and may only be framed by the sites that the merchant named.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from paylink.channels.webchat import WebChatConfig
from paylink.kit.i18n import N_, direction, translator
from paylink.kit.web import content_security_policy

STATIC: Final = Path(__file__).parent / "static"
TYPES: Final = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
FOR_GOOD: Final = "public, max-age=31536000, immutable"
INDENT: Final = re.compile(r"\n\s+")
# How long a browser may keep the script: a new colour or title is seen within it.
SCRIPT_AGE: Final = "public, max-age=300"
UNUSED_FEATURES: Final = ("camera", "microphone", "geolocation", "payment", "usb", "display-capture", "browsing-topics")
# WCAG 2.2: of black and white one always has a contrast of 4.5 and more. They are equal at this luminance.
MIDDLE_LUMINANCE: Final = 0.179

HEADERS: Final = {
    "Content-Security-Policy": content_security_policy({"frame-ancestors": ("'none'",)}),
    "Permissions-Policy": ", ".join(f"{feature}=()" for feature in UNUSED_FEATURES),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}

TEXTS: Final = {
    "open": N_("Open the chat"),
    "close": N_("Close the chat"),
    "unread": N_("New messages: {count}"),
    "greeting": N_("Hello! How can we help you?"),
    "conversation": N_("Conversation"),
    "you": N_("You"),
    "name": N_("Your name (optional)"),
    "message": N_("Your message"),
    "send": N_("Send"),
    "show_code": N_("On the phone with us? Show my code"),
    "code": N_("Tell the agent this code:"),
    "pay": N_("Pay securely"),
    "pay_note": N_("Opens in a new tab"),
    "gone": N_("This payment link is no longer open."),
    "warning": N_("Never write card numbers here. We never ask for them in a chat."),
    "card": N_("This looks like a card number, so it was not sent. Please remove it: you get a secure page to pay on."),
    "long": N_("This message is too long."),
    "slow": N_("That was a lot at once. Please wait a moment and try again."),
    "failed": N_("This could not be sent. Please check your connection and try again."),
    "over": N_("This conversation has ended. Write to us to begin a new one."),
    "offline": N_("No connection. Trying again…"),
    "alone": N_("This chat opens on the website it belongs to."),
}
REFUSALS: Final = {
    403: (N_("This chat is not set up yet"), N_("The website it belongs to still has to be named in its settings.")),
    404: (N_("There is no such chat"), N_("It may have been switched off.")),
    429: (N_("Please wait a moment"), N_("There were too many requests from your connection.")),
}
BROKEN: Final = (N_("Something went wrong"), N_("This is our fault, not yours. Please try again in a moment."))


class Page:
    """Renders with what is the same for the whole process."""

    def __init__(self, *, base: str = "/chat") -> None:
        self._base = base
        self._files = {path.name: path.read_text() for path in STATIC.iterdir() if path.suffix in TYPES}
        # Written for people, sent without the space before its lines.
        self._script = INDENT.sub("\n", self._files.pop("widget.js")).rstrip()
        self._hashed = {_hashed(name, text): name for name, text in self._files.items()}
        self._urls = {name: f"{base}/assets/{hashed}" for hashed, name in self._hashed.items()}
        self._environment = Environment(
            loader=PackageLoader("paylink.chats"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def asset(self, hashed: str) -> Response | None:
        name = self._hashed.get(hashed)
        if name is None:
            return None
        return Response(self._files[name], headers={"Cache-Control": FOR_GOOD}, media_type=TYPES[Path(name).suffix])

    def script(self, config: WebChatConfig, *, language: str) -> Response:
        """What the merchant's site embeds."""
        texts = texts_in(language)
        settings = {
            "title": config.title,
            "accent": config.accent,
            "ink": ink_on(config.accent),
            "dir": direction(language),
            **{name: texts[name] for name in ("open", "close", "unread")},
        }
        headers = {
            "Cache-Control": SCRIPT_AGE,
            "Vary": "Accept-Language",
            "Cross-Origin-Resource-Policy": "cross-origin",
        }
        content = f"{self._script}({json.dumps(settings, ensure_ascii=False)});\n"
        return Response(content, headers=headers, media_type=TYPES[".js"])

    def frame(self, config: WebChatConfig, *, account_id: str, language: str) -> Response:
        origins = config.origins.split()
        texts = texts_in(language)
        data = {
            "account": account_id,
            "base": f"{self._base}/{account_id}",
            "origins": origins,
            "language": language,
            "accent": config.accent,
            "ink": ink_on(config.accent),
            "title": config.title,
            "texts": texts,
        }
        return self._html(
            "frame.html",
            language=language,
            ancestors=tuple(origins),
            title=config.title,
            greeting=config.greeting or texts["greeting"],
            texts=texts,
            data=data,
        )

    def refusal(self, status: int, *, language: str, headers: Mapping[str, str] | None = None) -> Response:
        """A page that says why there is no chat; it may be framed by nobody."""
        heading, text = (translator(language).gettext(one) for one in REFUSALS.get(status, BROKEN))
        page = self._html("refused.html", language=language, status=status, heading=heading, text=text)
        page.headers.update(headers or {})
        return page

    def _html(
        self, template: str, *, language: str, ancestors: tuple[str, ...] = (), status: int = 200, **values: Any
    ) -> Response:
        policy = content_security_policy(
            {
                "script-src": ("'self'",),
                "style-src": ("'self'",),
                "connect-src": ("'self'",),
                "form-action": ("'none'",),
                "base-uri": ("'none'",),
                "frame-ancestors": ancestors or ("'none'",),
                "require-trusted-types-for": ("'script'",),
                "trusted-types": ("'none'",),
            }
        )
        found = self._environment.get_template(template)
        html = found.render(assets=self._urls, language=language, direction=direction(language), **values)
        return HTMLResponse(html, status, {"Content-Security-Policy": policy})


@cache
def texts_in(language: str) -> dict[str, str]:
    translate = translator(language).gettext
    return {name: translate(text) for name, text in TEXTS.items()}


def ink_on(accent: str) -> str:
    """Black or white, whichever can be read on the colour better."""
    parts = [int(accent[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    luminance = sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return "#000" if luminance > MIDDLE_LUMINANCE else "#fff"


def _hashed(name: str, content: str) -> str:
    path = Path(name)
    return f"{path.stem}.{hashlib.sha256(content.encode()).hexdigest()[:16]}{path.suffix}"
