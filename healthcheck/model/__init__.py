"""The nouns: observation, finding, alert, report. Data only."""
