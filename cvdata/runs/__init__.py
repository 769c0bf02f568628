"""What a run plans, asks of the engine and checks: between the jobs and the verbs."""
