"""Templates that were written by a merchant, so by anyone: what may stand in them, and filling them in.

They are Jinja with almost everything taken out: names that are known, ``if``, and a few filters that cannot make a
text grow. There is nothing to loop over, to call or to reach into, so a template costs what its length costs. The
sandbox around it is a second wall.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from jinja2 import StrictUndefined, Template, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from paylink.messages.mjml import BadMjml, to_html

# What a template may speak of, and in words what it is.
NAMES: Final = {
    "merchant": "the merchant's name",
    "amount": "what is to be paid, with its currency",
    "url": "the link",
    "expires": "until when the link works",
    "description": "what it is for",
    "reference": "the merchant's reference",
    "name": "the customer's name",
    "words": "the session's words",
    "agent": "the agent's first name",
    "replies": "set where an answer of STOP reaches us",
    "unsubscribe_url": "where reminders are turned off",
    "language": "the language, such as de",
    "direction": "ltr or rtl",
    "align": "left or right, where a line begins",
}
FILTERS: Final = frozenset({"upper", "lower", "title", "capitalize", "trim", "default", "d", "truncate", "escape", "e"})
ALLOWED: Final = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Filter, nodes.If),
    *(nodes.And, nodes.Or, nodes.Not, nodes.Compare, nodes.Operand, nodes.CondExpr, nodes.Keyword),
)
LONGEST: Final = {"subject": 200, "text": 4_000, "mjml": 64 * 1024}
MOST_PIECES: Final = 1_000
DEEPEST: Final = 20
NOT_ALLOWED: Final = "Only names, if and simple filters can stand in a message"


class TemplateFault(ValueError):
    """``line`` counts from 1; ``what`` is a sentence for whoever wrote it, and repeats nothing of the values."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line}: {what}")
        self.line = line
        self.what = what


class _Sandbox(ImmutableSandboxedEnvironment):
    """Without the functions that Jinja gives to every template."""

    def __init__(self, *, autoescape: bool) -> None:
        super().__init__(
            autoescape=autoescape,
            undefined=StrictUndefined,
            trim_blocks=True,
            keep_trailing_newline=True,
            # What is not known is left out and not called None.
            finalize=lambda value: "" if value is None else value,
            cache_size=0,
        )
        self.globals.clear()
        self.filters = {name: self.filters[name] for name in FILTERS}
        self.tests = {}


_PLAIN, _MARKUP = _Sandbox(autoescape=False), _Sandbox(autoescape=True)


def fill(source: str, values: Mapping[str, str | None], *, markup: bool = False) -> str:
    """The template with its names filled in, escaped for ``markup``. Raises ``TemplateFault``."""
    template = _compiled(source, markup)
    try:
        return template.render(values)
    except TemplateError as error:
        raise TemplateFault(1, f"The message cannot be filled in: {type(error).__name__}") from None
    except (ValueError, TypeError, ArithmeticError, RecursionError, AssertionError):
        # A filter that was given what it cannot work with.
        raise TemplateFault(1, "The message cannot be filled in") from None


def page(source: str, values: Mapping[str, str | None]) -> str:
    """MJML with names as the HTML of an e-mail. Raises ``TemplateFault``."""
    filled = fill(source, values, markup=True)
    try:
        return to_html(filled)
    except BadMjml as bad:
        raise TemplateFault(bad.line, bad.what) from None


def trusted(source: str, values: Mapping[str, str | None], *, markup: bool = False) -> str:
    """As ``fill``, for a template of our own, which may hold macros."""
    return _ours(source, markup).render(values)


@lru_cache(maxsize=64)
def _ours(source: str, markup: bool) -> Template:
    return (_MARKUP if markup else _PLAIN).from_string(source)


@lru_cache(maxsize=512)
def _compiled(source: str, markup: bool) -> Template:
    environment = _MARKUP if markup else _PLAIN
    try:
        tree = environment.parse(source)
        _check(tree)
        return environment.from_string(tree)
    except TemplateError as error:
        line = getattr(error, "lineno", None) or 1
        raise TemplateFault(line, _sentence(error.message or "This cannot be read")) from None
    except (RecursionError, MemoryError, SyntaxError, ValueError, OverflowError) as error:
        if isinstance(error, TemplateFault):
            raise
        raise TemplateFault(1, "Too much stands in each other") from None


def _check(tree: nodes.Node) -> None:
    """Raises ``TemplateFault`` for whatever is not on the list."""
    waiting: list[tuple[nodes.Node, int]] = [(tree, 0)]
    seen = 0
    while waiting:
        node, depth = waiting.pop()
        seen += 1
        if seen > MOST_PIECES or depth > DEEPEST:
            raise TemplateFault(node.lineno or 1, "The message has too many pieces")
        _check_one(node)
        waiting.extend((child, depth + 1) for child in node.iter_child_nodes())


def _check_one(node: nodes.Node) -> None:
    line = node.lineno or 1
    if type(node) not in ALLOWED:
        raise TemplateFault(line, NOT_ALLOWED)
    if isinstance(node, nodes.Name) and (node.ctx != "load" or node.name not in NAMES):
        raise TemplateFault(line, f"There is no {node.name[:40]}; there are {', '.join(NAMES)}")
    if isinstance(node, nodes.Filter):
        _check_filter(node, line)


def _check_filter(node: nodes.Filter, line: int) -> None:
    if node.name not in FILTERS:
        raise TemplateFault(line, f"There is no filter {node.name[:40]}; there are {', '.join(sorted(FILTERS))}")
    if node.node is None or node.dyn_args is not None or node.dyn_kwargs is not None:
        raise TemplateFault(line, NOT_ALLOWED)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:200]
