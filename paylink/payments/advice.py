"""What to do about a decline: one sentence for the customer's page, one that the agent can read out.

Source of the codes: docs.stripe.com/declines/codes and docs.stripe.com/error-codes, and three of ours
(``blocked_by_fraud_check``, ``review_declined``, ``amount_not_chargeable``). A bank says as little as it likes and a
code is often all there is. A suspicion (fraud, a lost or stolen card, the merchant's block list) is told to nobody:
Stripe asks to present it as a plain decline, since it would tell a thief what to try next.
"""

from dataclasses import dataclass

from paylink.kit.i18n import N_


@dataclass(frozen=True, slots=True)
class Advice:
    """``customer`` is English and a message id for gettext; ``agent`` is said aloud to the customer."""

    customer: str
    agent: str


DECLINED = Advice(
    N_("Your card was declined. Please try another card or contact your bank."),
    "The bank declined this card without saying why. Please try another card, or call the number on the back of it.",
)
FUNDS = Advice(
    N_("There is not enough money available on this card. Please try another card."),
    "The bank says there is not enough money available on this card. Please try another one.",
)
LIMIT = Advice(
    N_("This card has reached a limit set by your bank. Please try another card or contact your bank."),
    "This card has reached a limit that the bank sets. Please try another card, or ask the bank to raise the limit.",
)
CVC = Advice(
    N_("The security code is not right. Please check it and try again."),
    "The security code did not match. Please check the three or four digits on the card and enter them again.",
)
NUMBER = Advice(
    N_("The card number is not right. Please check it and try again."),
    "The card number was not right. Please enter it again on the page; never read it out to me.",
)
EXPIRED = Advice(
    N_("This card has expired. Please try another card."),
    "This card has expired. Please use another one.",
)
EXPIRY = Advice(
    N_("The expiration date is not right. Please check it and try again."),
    "The expiration date was not right. Please check the month and year on the card and enter them again.",
)
ADDRESS = Advice(
    N_("The address or postal code does not match this card. Please check it and try again."),
    "The address or postal code did not match the bank's records. Please check it and try again.",
)
AGAIN = Advice(
    N_("The payment could not be processed just now. You have not been charged. Please try again in a moment."),
    "Something went wrong on the way to the bank and nothing was charged. Please try again in a moment.",
)
AUTHENTICATE = Advice(
    N_("Your bank could not confirm that it is you. Please try again and approve the payment, or use another card."),
    "The bank's security check was not completed. Please try again and approve the payment in your banking app or with "
    "the code the bank sends, or use another card.",
)
UNSUPPORTED = Advice(
    N_("This card cannot be used for this payment. Please try another card."),
    "This kind of card does not allow this payment. Please try another one.",
)
CURRENCY = Advice(
    N_("This card does not support the currency of this payment. Please try another card."),
    "This card cannot pay in this currency. Please try another card, or ask the bank about payments in it.",
)
BANK = Advice(
    N_("Your bank did not allow this payment. Please contact your bank or try another card."),
    "The bank did not allow this payment. Please call the number on the back of the card, or try another card.",
)
DUPLICATE = Advice(
    N_("A payment of the same amount was made with this card a moment ago. Please check before you try again."),
    "The bank saw the same amount on this card a moment ago. Let me check whether it was paid before you try again.",
)
PIN = Advice(
    N_("Your bank asks for a PIN, which cannot be used here. Please try another card."),
    "The bank wants a PIN for this card, which cannot be used online. Please try another card.",
)
AMOUNT = Advice(
    N_("This amount cannot be charged to this card. Please contact the merchant."),
    "This amount cannot be charged to the card as it is. I will look into it on our side.",
)
NOT_ACCEPTED = Advice(
    N_("The payment could not be accepted. You have not been charged. Please contact the merchant."),
    "We could not accept this payment and nothing was charged. Please use another way to pay.",
)
TEST_CARD = Advice(
    N_("This is a test card. Please use a real card."),
    "That is a test card, and this page takes real ones only. Please try another card.",
)
METHOD = Advice(
    N_("The payment was not approved. Please try again or pay another way."),
    "The payment was not approved in the app or at the bank. Please try again, or pay another way.",
)
EXPIRED_TRY = Advice(
    N_("The payment took too long and was stopped. You have not been charged. Please try again."),
    "The payment took too long and was stopped. Nothing was charged. Please try again.",
)

DEFAULT = DECLINED

# Advice → the codes it is for, by spaces.
_CODES: tuple[tuple[Advice, str], ...] = (
    (DECLINED, "card_declined generic_decline fraudulent lost_card stolen_card pickup_card merchant_blacklist"),
    (DECLINED, "no_action_taken highest_risk_level blocked_by_fraud_check"),
    (BANK, "do_not_honor call_issuer do_not_try_again transaction_not_allowed not_permitted restricted_card"),
    (BANK, "security_violation service_not_allowed stop_payment_order invalid_account revocation_of_authorization"),
    (BANK, "revocation_of_all_authorizations new_account_information_available"),
    (FUNDS, "insufficient_funds"),
    (LIMIT, "card_velocity_exceeded withdrawal_count_limit_exceeded"),
    (CVC, "incorrect_cvc invalid_cvc"),
    (NUMBER, "incorrect_number invalid_number"),
    (EXPIRED, "expired_card"),
    (EXPIRY, "invalid_expiry_month invalid_expiry_year"),
    (ADDRESS, "incorrect_address incorrect_zip postal_code_invalid"),
    (AGAIN, "processing_error try_again_later issuer_not_available reenter_transaction approve_with_id"),
    (AGAIN, "api_error lock_timeout rate_limit"),
    (AUTHENTICATE, "payment_intent_authentication_failure setup_intent_authentication_failure"),
    (AUTHENTICATE, "authentication_required authentication_not_handled mobile_device_authentication_required"),
    (UNSUPPORTED, "card_not_supported payment_method_not_available"),
    (CURRENCY, "currency_not_supported"),
    (DUPLICATE, "duplicate_transaction"),
    (PIN, "incorrect_pin invalid_pin pin_try_exceeded offline_pin_required online_or_offline_pin_required"),
    (AMOUNT, "invalid_amount amount_not_chargeable amount_too_large amount_too_small"),
    (NOT_ACCEPTED, "review_declined"),
    (TEST_CARD, "testmode_decline test_mode_live_card live_mode_test_card"),
    (METHOD, "payment_method_customer_decline payment_method_provider_decline"),
    (EXPIRED_TRY, "payment_intent_payment_attempt_expired payment_method_provider_timeout charge_expired"),
)
ADVICE: dict[str, Advice] = {code: advice for advice, codes in _CODES for code in codes.split()}


def advise(code: str | None) -> Advice:
    """``code``: the provider's decline code or one of ours. An unknown one gets the plain decline."""
    return ADVICE.get(code or "", DEFAULT)
