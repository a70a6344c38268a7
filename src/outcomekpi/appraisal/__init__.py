"""From outcomes to awards: goals of patients, tiers, points, pay."""
