"""Two single sign-ons to test against: a real one in a process of its own, and one that lies."""
