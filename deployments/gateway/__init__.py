"""The HTTP ingress: validates, routes, and passes bytes through."""
