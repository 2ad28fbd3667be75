"""The process inside a phase pod: fetches inputs, runs one task, publishes its outputs, says how it went."""
