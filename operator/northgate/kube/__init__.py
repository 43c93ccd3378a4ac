"""How does Northgate live in a cluster? It reads and writes Kubernetes' objects here, and knows no gRPC."""
