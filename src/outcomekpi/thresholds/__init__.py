"""Is the bar in the right place, and what does the rule do by chance?"""
