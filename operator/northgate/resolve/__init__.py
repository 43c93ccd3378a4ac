"""What do the objects mean together? Attachment, references, precedence and conflicts; no Envoy types, no failure."""
