"""The verbs. Each module registers its own with the program (t2v_cli/main.py)."""
