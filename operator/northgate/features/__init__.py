"""What can a rule do? One module per feature: schema, meaning, Envoy translation, and the page users read."""
