"""The few operators and triggers that the DAGs share."""
