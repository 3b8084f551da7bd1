"""How a card is called in front of people."""

from collections.abc import Mapping
from typing import Final

BRANDS: Final = {
    "amex": "American Express",
    "cartes_bancaires": "Cartes Bancaires",
    "diners": "Diners Club",
    "eftpos_au": "Eftpos",
    "jcb": "JCB",
    "unionpay": "UnionPay",
}


def card_words(card: Mapping[str, str | None] | None) -> str | None:
    """``Visa ending in 4242``, of ``{"brand", "last4"}``; ``None`` for a card that nobody knows."""
    if not card or not card.get("last4"):
        return None
    brand = card.get("brand") or "card"
    return f"{BRANDS.get(brand, brand.replace('_', ' ').title())} ending in {card['last4']}"
