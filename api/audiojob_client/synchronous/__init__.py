"""The client for programs that wait. Made by `make generate` of ``asynchronous``; change it there."""
