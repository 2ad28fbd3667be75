"""A package, so that pytest takes the product down after the last of these tests and not at the end of the run."""
