"""The client for programs that await. Written by hand; ``synchronous`` is made of it by `make generate`."""
