"""The alert simulator: recorded or synthetic alerts, sent to Kafka as a telescope would."""
