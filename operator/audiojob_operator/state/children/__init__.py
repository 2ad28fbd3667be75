"""What is known of the Jobs of one namespace, for each question that is asked of them."""
