"""The streaming stages and their edges to Kafka."""
