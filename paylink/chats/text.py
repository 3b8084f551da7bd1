"""What is written in a chat, by either side: bounded, without control characters, never with a card number in it."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from paylink.kit.text import refuse_card_number, refuse_control_characters

Said = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=2000),
    AfterValidator(refuse_control_characters),
    AfterValidator(refuse_card_number),
]
