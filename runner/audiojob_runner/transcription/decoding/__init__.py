"""From what the network says of each frame to notes: begins and ends, voices, levels and bends."""
