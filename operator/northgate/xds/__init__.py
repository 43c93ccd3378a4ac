"""The embedded xDS server: what every proxy is sent, and what each of them says about it."""
