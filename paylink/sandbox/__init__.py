"""The stand-in world for development and tests: a Stripe-compatible provider, a carrier and an inbox.

It is reached over HTTP alone, as any provider is. Nothing in ``paylink`` imports it except the composition roots, and
it refuses to be built in production.
"""
