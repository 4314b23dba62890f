"""What Airflow's web interface gets from the broker: each file registers one thing and imports nothing heavy."""
