"""One router a module: it reads the request, calls one function of `jobs`, and answers."""
