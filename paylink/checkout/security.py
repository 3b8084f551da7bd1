"""What keeps the page to itself: headers, cookies, and whose requests are taken.

The policy starts from ``default-src 'none'`` and allows this origin and the provider's card fields, nothing else: no
inline script, no inline style, no third party (PCI DSS 6.4.3, 11.6.1).
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from paylink.checkout.sessions import LIFETIME
from paylink.config import Settings
from paylink.errors import Forbidden
from paylink.kit.crypto import Keyring, random_text, same
from paylink.kit.web import content_security_policy
from paylink.psp.base import BrowserSetup

TWO_YEARS_S: Final = 2 * 365 * 24 * 3600
NONCE_HEADER: Final = "Paylink-Nonce"
NONCE_PURPOSE: Final = "checkout-render"
NONCE_BYTES: Final = 9
UNUSED_FEATURES: Final = ("camera", "microphone", "geolocation", "usb", "display-capture", "browsing-topics")


def headers(settings: Settings, browser: BrowserSetup) -> dict[str, str]:
    """For every answer; the answers of ``/assets`` set a caching of their own."""
    policy = content_security_policy(
        {
            "script-src": ("'self'", *browser.script_origins),
            "style-src": ("'self'",),
            "img-src": ("'self'", "data:"),
            "connect-src": ("'self'", *browser.connect_origins),
            "frame-src": browser.frame_origins,
            "form-action": ("'self'",),
            "frame-ancestors": ("'none'",),
            "base-uri": ("'none'",),
        }
    )
    found = {
        "Content-Security-Policy": policy,
        "Permissions-Policy": _permissions(browser),
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "X-Robots-Tag": "noindex, nofollow",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        # The provider's wallets open windows that report back, so not the strictest value.
        "Cross-Origin-Opener-Policy": "same-origin-allow-popups",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if settings.production:
        found["Strict-Transport-Security"] = f"max-age={TWO_YEARS_S}; includeSubDomains"
    return found


def _permissions(browser: BrowserSetup) -> str:
    provider = " ".join(f'"{origin}"' for origin in browser.frame_origins if "*" not in origin)
    return ", ".join([f"payment=(self {provider})", *(f"{feature}=()" for feature in UNUSED_FEATURES)])


def cookie_name(settings: Settings, link_id: str) -> str:
    """One cookie per link. ``__Host-`` ties it to this host, so that no neighbour's subdomain can plant one."""
    prefix = "__Host-" if settings.production else ""
    return f"{prefix}paylink_pay_{link_id.removeprefix('plink_')}"


def set_cookie(response: Response, settings: Settings, link_id: str, secret: str) -> None:
    response.set_cookie(
        cookie_name(settings, link_id),
        secret,
        max_age=int(LIFETIME.total_seconds()),
        path="/",
        secure=settings.production,
        httponly=True,
        samesite="lax",
    )


def new_nonce(keyring: Keyring, link_id: str) -> str:
    """Made for each rendering of a link's page. Whoever sends it back had that page, and not only its cookie."""
    salt = random_text(NONCE_BYTES)
    return f"{salt}.{keyring.digest(f'{link_id}:{salt}', purpose=NONCE_PURPOSE).hex()[:32]}"


def check_nonce(keyring: Keyring, link_id: str, nonce: str) -> None:
    salt, _, mark = nonce.partition(".")
    known = keyring.digests(f"{link_id}:{salt}", purpose=NONCE_PURPOSE)
    if not any(same(mark, digest.hex()[:32]) for digest in known):
        raise Forbidden("Please reload the page and try again", code="stale_page")


def check_own_page(request: Request, settings: Settings) -> None:
    """A script's request must come from this origin and say so; browsers do, and pages cannot forge it."""
    site = request.headers.get("sec-fetch-site")
    if not (site == "same-origin" if site is not None else _is_own_origin(request.headers, settings)):
        raise Forbidden("This request did not come from the payment page", code="cross_site")


def check_not_foreign(request: Request) -> None:
    """For the plain form, which older browsers send without a word of where it stood."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise Forbidden("This request did not come from the payment page", code="cross_site")


def _is_own_origin(sent: Mapping[str, str], settings: Settings) -> bool:
    origin = urlsplit(sent.get("origin", ""))
    public = urlsplit(settings.checkout_url)
    if not origin.netloc:
        return False
    if (origin.scheme, origin.netloc) == (public.scheme, public.netloc):
        return True
    return not settings.production and origin.netloc == sent.get("host")
