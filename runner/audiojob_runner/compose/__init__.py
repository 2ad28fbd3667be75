"""Films made of scenes: the list that people write, the plan, and the pictures and sound of each scene."""
