"""What a job would take before it is made: time, processors, price, its turn, and work that is done already."""
