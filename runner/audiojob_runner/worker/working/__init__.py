"""The container ``work``: it holds libraries and networks, and runs each phase's task in a process of its own."""
