"""What the gateway costs, measured beside the least that its parts can do."""
