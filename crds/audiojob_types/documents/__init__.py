"""JSON documents that tasks hand on as files: typed here, as one task writes them and others read them."""
