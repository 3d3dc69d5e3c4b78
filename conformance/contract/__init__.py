"""What is asked, and of whom: subjects, checks and their outcomes, specifications, tolerances."""
