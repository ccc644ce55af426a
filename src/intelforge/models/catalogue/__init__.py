"""What is known of models: facts and prices, what was measured, and which local one fits this machine."""
