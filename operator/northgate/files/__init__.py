"""The folder source of standalone mode and the Envoy process it supervises."""
