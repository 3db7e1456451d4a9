"""What a collector must never keep: its rules, found in data and taken out. Pure."""
