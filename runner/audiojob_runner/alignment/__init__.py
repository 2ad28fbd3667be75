"""When words are sung: found by comparing a voice with how a speech synthesizer says them."""
