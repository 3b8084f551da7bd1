"""paylink: secure omnichannel payment links, followed live by the agent who sent them."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("paylink")
except PackageNotFoundError:  # running from a bare checkout
    __version__ = "0.0.0"
