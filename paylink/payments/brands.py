"""How a card is called in front of people."""

from collections.abc import Mapping
from typing import Final

from paylink.kit import i18n

BRANDS: Final = {
    "amex": "American Express",
    "cartes_bancaires": "Cartes Bancaires",
    "diners": "Diners Club",
    "eftpos_au": "Eftpos",
    "jcb": "JCB",
    "unionpay": "UnionPay",
}


def card_words(card: Mapping[str, str | None] | None, language: str = i18n.DEFAULT) -> str | None:
    """``Visa ending in 4242``, of ``{"brand", "last4"}``; ``None`` for a card that nobody knows."""
    if not card or not card.get("last4"):
        return None
    _ = i18n.translator(language).gettext
    brand = card.get("brand")
    name = BRANDS.get(brand, brand.replace("_", " ").title()) if brand else _("Card")
    return _("%(brand)s ending in %(last4)s") % {"brand": name, "last4": card["last4"]}
