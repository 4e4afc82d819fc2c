"""Which candidate serves a request, in what order, and the one loop that tries them."""
