"""Changes what comes from outside at random: no crash, no hang, no unbounded memory, only promised errors."""
