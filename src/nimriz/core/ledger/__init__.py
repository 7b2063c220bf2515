"""Events, and what is thought of them: recorded once, judged, settled, explained."""
