"""Which objects make a gateway's proxies run? Pure builders: values in, documents out, equal for equal values."""
