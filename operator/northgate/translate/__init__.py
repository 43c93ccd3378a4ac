"""What do resolved objects mean to Envoy? One module per Envoy concept; no decisions about users, no failure."""
