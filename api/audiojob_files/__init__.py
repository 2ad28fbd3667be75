"""The files service: the one program besides phases that mounts a store. It does what a ticket of the API allows."""
