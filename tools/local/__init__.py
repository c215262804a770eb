"""A server and an agent on the developer's own machine, as `make run` and `make dev` start them."""
