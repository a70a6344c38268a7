"""From a posterior to judgments: rates, ranks, flags, reliability and limits of each doctor."""
