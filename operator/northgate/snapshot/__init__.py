"""What does each gateway's proxies get? Encoded resources, and the change from one set of them to the next."""
