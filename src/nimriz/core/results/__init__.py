"""What an experiment has shown, by methods that may be looked at every day."""
