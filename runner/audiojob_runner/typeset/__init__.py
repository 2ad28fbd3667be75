"""Text for pictures: which font each piece of it needs, how wide it is, and what no font can show. Shared by films."""
