"""The deployment in Prefect, and how a check shows there. The only package that imports Prefect."""
