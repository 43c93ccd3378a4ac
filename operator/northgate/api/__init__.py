"""What users write: EdgeGateway, Route and Upstream, the Kubernetes kinds they refer to, and conditions."""
